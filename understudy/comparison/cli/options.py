"""Options that all commands over logs share."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Option("--model", help="name of the deployment")]
