"""Words of a command that are wrong, at every depth, against a refusal."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from understudy.runtime.command_line import CommandGroup
from understudy.runtime.exit_codes import OK, REFUSED, USAGE

app = typer.Typer(cls=CommandGroup, no_args_is_help=True)
below = typer.Typer()  # an ordinary group, covered by the one above it


@app.command()
def take(count: Annotated[int, typer.Option(min=1)]) -> None:
    if count > 1:
        raise typer.Exit(REFUSED)


@below.command()
def look(place: str) -> None:
    typer.echo(place)


@below.command()
def leave() -> None:
    pass


app.add_typer(below, name="below")


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        ((), USAGE),
        (("nothing",), USAGE),
        (("--nothing",), USAGE),
        (("take",), USAGE),
        (("take", "--count", "0"), USAGE),
        (("take", "--count", "x"), USAGE),
        (("take", "--count", "1", "--nothing"), USAGE),
        (("below", "nothing"), USAGE),
        (("below", "look"), USAGE),
        (("below", "look", "a", "b"), USAGE),
        (("--help",), OK),
        (("below", "look", "a"), OK),
        (("take", "--count", "1"), OK),
        (("take", "--count", "2"), REFUSED),
    ],
)
def test_only_wrong_words_end_as_wrong_words(words: tuple[str, ...], exit_code: int) -> None:
    assert CliRunner().invoke(app, words).exit_code == exit_code


def test_a_group_mounted_below_another_is_covered_by_itself() -> None:
    above = typer.Typer()
    above.add_typer(app, name="covered")

    assert CliRunner().invoke(above, ("covered", "take", "--count", "0")).exit_code == USAGE
