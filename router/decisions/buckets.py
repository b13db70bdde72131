"""Where a unit stands between champion and challenger, in the basis points that weights are given in.

Assignment has no buckets: it is a race of draws. What it promises for one challenger, that a unit
once taken stays taken as the weight is raised, makes the weight from which it is taken a number of
its own. It is uniform over unit keys, and another one for each salt and challenger.
"""

from bisect import bisect_left

from router.decisions.assignment import ArmWeight, Assigner, Split
from understudy.domain.deployments import FULL_SHARE_BP, Arm


def bucket_bp(unit_key: str, *, salt: str, challenger: int) -> int:
    """Return the unit's bucket, 0 to 9,999: `challenger` alone takes it when its weight is above."""

    def seat_at(weight_bp: int) -> int:
        arms = (
            ArmWeight(Arm.CHAMPION, 0, FULL_SHARE_BP - weight_bp),
            ArmWeight(Arm.CHALLENGER, challenger, weight_bp),
        )
        return Assigner(Split(salt, arms)).assign(unit_key)

    return bisect_left(range(FULL_SHARE_BP + 1), 1, key=seat_at) - 1
