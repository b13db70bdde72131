"""The forms in which operators may write versions and shares."""

import pytest

from registry.cli.arguments import parse_share, parse_version
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import VersionRef


@pytest.mark.parametrize(
    ("text", "share_bp"),
    [("10%", 1000), ("0.5%", 50), ("100%", 10_000), ("0%", 0), ("250bp", 250), (" 1% ", 100)],
)
def test_a_share_has_a_unit(text: str, share_bp: int) -> None:
    assert parse_share(text, "--weight") == share_bp


@pytest.mark.parametrize("text", ["10", "", "101%", "10001bp", "0.005%", "1.5bp", "-1%", "ten%"])
def test_an_unclear_share_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="--weight"):
        parse_share(text, "--weight")


@pytest.mark.parametrize("words", [("fraud", "7"), ("fraud", "fraud@7"), ("fraud@7", None)])
def test_a_version_is_written_in_three_ways(words: tuple[str, str | None]) -> None:
    assert parse_version(*words) == VersionRef("fraud", 7)


@pytest.mark.parametrize(
    "words", [("fraud", None), ("fraud", "other@7"), ("fraud", "0"), ("Fraud", "1"), ("fraud", "x")]
)
def test_an_unclear_version_is_refused(words: tuple[str, str | None]) -> None:
    with pytest.raises(InvalidInputError):
        parse_version(*words)
