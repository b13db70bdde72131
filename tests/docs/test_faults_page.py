"""Each fault in the table names tests that exist, and says which of them run with the long ones."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "faults.md").read_text()
COLUMNS = 6
TEST = re.compile(r"`(tests/[\w/]+(?:\.py)?)`( \(long)?")
MARKED_AS_A_WHOLE = re.compile(r"^pytestmark = .*\.mark\.long\b", re.MULTILINE)


def faults() -> list[list[str]]:
    """Return the cells of each row that is neither a heading nor a kind of process."""
    table = PAGE.partition("\n| fault |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return [row for row in rows if not row[0].startswith("**")]


@pytest.mark.parametrize("row", faults(), ids=lambda row: row[0][:60])
def test_each_fault_names_its_tests_and_which_of_them_are_long(row: list[str]) -> None:
    assert len(row) == COLUMNS, row
    named = TEST.findall(row[-1])

    assert named
    for path, is_long in named:
        assert (ROOT / path).exists(), path
        text = (ROOT / path).read_text() if path.endswith(".py") else ""
        if is_long:
            assert "pytest.mark.long" in text, f"{path} has no long test"
        else:
            assert not MARKED_AS_A_WHOLE.search(text), f"{path} has long tests only"
