"""Options that several commands share."""

from typing import Annotated

import typer

from registry.cli.completion import (
    complete_model,
    complete_model_or_version,
    complete_number,
)
from understudy.control.wire_values import GREATEST_NUMBER

Registry = Annotated[
    str,
    typer.Option(
        "--registry",
        envvar="UNDERSTUDY_REGISTRY",
        help="HOST:PORT of the registry, or several separated by commas",
    ),
]
Actor = Annotated[
    str | None, typer.Option("--actor", envvar="UNDERSTUDY_ACTOR", help="the actor [user@host]")
]
OnBehalfOf = Annotated[
    str | None,
    typer.Option(
        "--on-behalf-of",
        envvar="UNDERSTUDY_ON_BEHALF_OF",
        metavar="NAME",
        help="person for whom an automation acts; recorded beside its own name",
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="why; goes to the audit log")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would change, change nothing")]
Expect = Annotated[
    int | None,
    typer.Option(
        "--expect-revision",
        min=0,
        max=GREATEST_NUMBER,
        help="refuse unless this is the current revision; 0: never deployed [a terminal asks]",
    ),
]
Override = Annotated[
    str | None,
    typer.Option(
        "--override", metavar="REASON", help="break limits of the registry, for this reason"
    ),
]
Wait = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="wait until routers and hosts act on it, at most 60 s"),
]
Model = Annotated[str, typer.Argument(help="name of the model", autocompletion=complete_model)]
AnyModel = Annotated[
    str | None, typer.Argument(help="name of the model [all]", autocompletion=complete_model)
]
ModelOrVersion = Annotated[
    str,
    typer.Argument(
        help="MODEL, or MODEL@NUMBER without a version", autocompletion=complete_model_or_version
    ),
]
Number = Annotated[
    str | None, typer.Argument(help="version: 7 or MODEL@7", autocompletion=complete_number)
]
