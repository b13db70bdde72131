"""The position of a unit between champion and challenger, in basis points like weights.

Assignment has no buckets: it is a race of draws. But with one challenger, a unit once taken stays
taken as the weight is raised, so the weight from which it is taken is a property of the unit.
It is uniform over unit keys, and differs between salts and challengers.
"""

from bisect import bisect_left

from router.decisions.assignment import ArmWeight, Assigner, Split
from understudy.domain.deployments import FULL_SHARE_BP, Arm


def bucket_bp(unit_key: str, *, salt: str, challenger: int) -> int:
    """Return the unit's bucket, 0 to 9,999: a sole `challenger` takes it at any weight above."""

    def seat_at(weight_bp: int) -> int:
        arms = (
            ArmWeight(Arm.CHAMPION, 0, FULL_SHARE_BP - weight_bp),
            ArmWeight(Arm.CHALLENGER, challenger, weight_bp),
        )
        return Assigner(Split(salt, arms)).assign(unit_key)

    return bisect_left(range(FULL_SHARE_BP + 1), 1, key=seat_at) - 1
