"""The time that a stack is given to settle."""

import itertools
from collections.abc import Sequence

from stack.settling import until_settled
from understudy.domain.progress import Patience

AT_ONCE = Patience(stalled_after_s=0.0, ceiling_s=600.0)
NEVER = Patience(stalled_after_s=600.0, ceiling_s=600.0)


async def test_what_is_served_is_settled() -> None:
    points = iter([("cancer@1 is not ready",), ("cancer@1 is not ready",), ()])

    async def open_points() -> Sequence[str]:
        return next(points)

    assert await until_settled(open_points, lambda: 0.0, NEVER) == ()


async def test_what_remains_when_nothing_makes_progress_is_told() -> None:
    async def open_points() -> Sequence[str]:
        return ["cancer@1 is refused"]

    assert await until_settled(open_points, lambda: 0.0, AT_ONCE) == ("cancer@1 is refused",)


async def test_scorers_that_load_are_waited_for() -> None:
    loaded_s = itertools.count(2.0, 2.0)
    points = iter([*[("cancer@1 is not ready",)] * 5, ()])

    async def open_points() -> Sequence[str]:
        return next(points)

    patience = Patience(stalled_after_s=0.01, ceiling_s=600.0)

    assert await until_settled(open_points, lambda: next(loaded_s), patience) == ()
