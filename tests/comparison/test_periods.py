"""`--since`."""

from datetime import UTC, datetime

import pytest

from understudy.comparison.decisions.periods import parse_since
from understudy.domain.errors import InvalidInputError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30s", "2026-11-21T11:59:30"),
        ("90m", "2026-11-21T10:30:00"),
        ("2h", "2026-11-21T10:00:00"),
        ("7d", "2026-11-14T12:00:00"),
        ("1w", "2026-11-14T12:00:00"),
        ("2026-11-20", "2026-11-20T00:00:00"),
        ("2026-11-20T08:00", "2026-11-20T08:00:00"),
        ("2026-11-20T08:00+02:00", "2026-11-20T06:00:00"),
        ("2026-11-20T08:00Z", "2026-11-20T08:00:00"),
    ],
)
def test_a_period_or_a_moment_becomes_utc_without_a_zone(text: str, moment: str) -> None:
    found = parse_since(text, now=NOW)

    assert found.isoformat() == moment
    assert found.tzinfo is None


@pytest.mark.parametrize("text", ["", "soon", "5", "h", "5y", "-5m", "1.5h", "9999999d"])
def test_anything_else_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(InvalidInputError, match="90m, 2h, 7d"):
        parse_since(text, now=NOW)
