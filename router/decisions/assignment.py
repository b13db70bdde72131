"""The arm that answers a unit. Pure: same key, same answer, in every process and offline.

Weighted rendezvous: each arm draws an exponential variate, with its weight as the rate, from a
salted hash of the unit key, and the smallest draw wins, so an arm wins with probability weight / sum
(Thaler & Ravishankar 1998; weights as in Schindelhauer & Schomaker 2005).
"""

from dataclasses import dataclass
from hashlib import blake2b
from math import log

from understudy.domain.deployments import FULL_SHARE_BP, Arm, Deployment

_DRAW_BYTES = 8
_DRAWS = float(2 ** (8 * _DRAW_BYTES))
_CHAMPION_SEAT = 0  # no version has number 0


@dataclass(frozen=True, slots=True)
class ArmWeight:
    arm: Arm
    version: int
    weight_bp: int


@dataclass(frozen=True, slots=True)
class Split:
    """The declared shares of one revision, champion first. Weights add up to 10,000."""

    salt: str
    arms: tuple[ArmWeight, ...]


def split_of(deployment: Deployment) -> Split:
    """Return the declared split; the champion has the share that challengers do not take."""
    taken_bp = sum(challenger.weight_bp for challenger in deployment.challengers)
    champion = ArmWeight(Arm.CHAMPION, deployment.champion, FULL_SHARE_BP - taken_bp)
    challengers = (
        ArmWeight(Arm.CHALLENGER, challenger.version, challenger.weight_bp)
        for challenger in deployment.challengers
    )
    return Split(deployment.salt, (champion, *challengers))


class Assigner:
    """`assign` for one split, with the hash states of its arms prepared.

    An entity keeps its arm while the split is unchanged. Raising one challenger's share never
    moves a unit to the champion; with one challenger it only moves units towards it. (With
    several, a few units pass from the champion to the others, so that their shares stay exact.)
    Replacing the champion moves no units of challengers.
    """

    __slots__ = ("_draws", "_only", "split")

    def __init__(self, split: Split) -> None:
        self.split = split
        live = [(index, arm) for index, arm in enumerate(split.arms) if arm.weight_bp > 0]
        self._only = live[0][0] if len(live) == 1 else None
        self._draws = [
            (index, float(arm.weight_bp), _seat_hash(split.salt, arm)) for index, arm in live
        ]

    def assign(self, unit_key: str) -> int:
        """Return the index into `split.arms` of the arm that answers `unit_key`."""
        if self._only is not None:
            return self._only
        key = unit_key.encode()
        best_index = 0
        earliest = float("inf")
        for index, weight, seat in self._draws:
            state = seat.copy()
            state.update(key)
            uniform = (int.from_bytes(state.digest(), "big") + 0.5) / _DRAWS
            drawn = -log(uniform) / weight
            if drawn < earliest:
                earliest = drawn
                best_index = index
        return best_index


def _seat_hash(salt: str, arm: ArmWeight) -> blake2b:
    # The champion's seat is not its version: a new champion must not reshuffle challengers.
    seat = _CHAMPION_SEAT if arm.arm is Arm.CHAMPION else arm.version
    # Not hash(): it differs between processes, so two routers would disagree.
    return blake2b(
        f"{len(salt)}:{salt}:{seat}:".encode(), digest_size=_DRAW_BYTES, person=b"understudy-arm"
    )
