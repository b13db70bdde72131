"""Tables and lines show foreign text as it is, and obey none of it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from understudy.runtime.terminal.plain_text import one_line, shown
from understudy.runtime.terminal.screen import Screen

HOSTILE = (
    "\x1b[31mred",  # colours of a terminal
    "a\x07b\x9b2J",  # a bell; clears the screen
    "\u202egnp.exe",  # reads from right to left
    "\ud800",  # no character at all
)


@pytest.mark.parametrize("text", ["[red]r[/red]", "[link=x]y", ":smile:", "http://x/1 'a' 12"])
def test_data_is_not_markup(capsys: pytest.CaptureFixture[str], text: str) -> None:
    Screen().say(text)
    Screen().table(("name",), [(text,)])
    Screen().facts([("name", text)])

    assert capsys.readouterr().out.count(text) == 3


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_moves_the_terminal(capsys: pytest.CaptureFixture[str], text: str) -> None:
    Screen().say(text, (text, "bold"))
    Screen().table((text,), [(text,)], title=text)

    assert all(each.isprintable() for each in capsys.readouterr().out.replace("\n", ""))


def test_a_pipe_gets_every_cell_whole(capsys: pytest.CaptureFixture[str]) -> None:
    digest = "0123456789abcdef" * 40

    Screen().table(("digest", "reason"), [(digest, "why " * 100)])
    Screen().say(digest, digest)

    header, row, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["digest", "reason"]
    assert digest in row
    assert line == digest * 2


def test_a_pipe_gets_no_blanks_at_line_ends(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(("name", "why"), [("a", "x"), ("b", "a longer text"), ("c", "")], title="t")
    Screen().facts([("name", "x"), ("value", "a longer text")], title="t")

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines == [line.rstrip() for line in lines]


def test_columns_of_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(("name", "rows"), [("a", 7), ("b", 1234)])

    assert capsys.readouterr().out.splitlines() == ["name  rows", "a        7", "b     1234"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (0.1234567, "0.123457"),
        (float("nan"), "nan"),
        ((1, None), "1, -"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02 03:04:05Z"),  # noqa: DTZ001 - as logs hold it
        (datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC), "2026-01-02 03:04:05.678Z"),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2026-01-02 01:00:00Z"),
    ],
)
def test_values_have_one_look(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_text_of_several_lines_becomes_one() -> None:
    assert one_line(" a\r\n  b\n\nc\x1b ") == "a b c\N{REPLACEMENT CHARACTER}"


def test_a_quiet_screen_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(quiet=True).say("a")

    assert capsys.readouterr().out == ""
