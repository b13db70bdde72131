"""Paths and links in the pages lead to existing files."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The changelog describes the past, when files had other names.
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
    ]
)
LIVING = [page for page in PAGES if page.name != "CHANGELOG.md"]
PROCESSES = ("router", "scorer", "registry", "stack")
FOLDERS = ("understudy", *PROCESSES, "tests", "benchmarks", "tools", "examples")
FILES = [
    path.relative_to(ROOT).as_posix()
    for folder in (*FOLDERS, "protos", "docs", "requirements")
    for path in (ROOT / folder).rglob("*.*")
]
NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.*-]+\.(?:py|proto|toml|lock|in))`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINKED = re.compile(r"\]\((?!https?:)([^)#]+)")
ANCHORED = re.compile(r"\]\((?!https?:)([^)#]*)#([^)]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def is_there(name: str) -> bool:
    if "*" in name:
        return any(Path(file).match(name) for file in FILES)
    return (ROOT / name).is_file() or any(file.endswith(f"/{name}") for file in FILES)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, by GitHub's rule."""
    kept = (re.sub(r"[^\w\- ]", "", each.lower()) for each in HEADING.findall(page.read_text()))
    return {each.strip().replace(" ", "-") for each in kept}


@pytest.mark.parametrize("page", LIVING, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = set(NAMED.findall(page.read_text()))

    assert [name for name in sorted(named) if not is_there(name)] == []


@pytest.mark.parametrize("page", LIVING, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = TEST.findall(page.read_text())

    missing = [
        f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_has_a_target(page: Path) -> None:
    linked = {target.strip() for target in LINKED.findall(page.read_text())}

    assert [target for target in sorted(linked) if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_anchor_of_a_link_is_a_heading(page: Path) -> None:
    linked = set(ANCHORED.findall(page.read_text()))

    targets = {(page.parent / path if path else page, anchor) for path, anchor in linked}
    missing = [f"{target}#{anchor}" for target, anchor in targets if anchor not in anchors(target)]
    assert missing == []
