"""Options that all commands over logs share."""

from pathlib import Path
from typing import Annotated

import typer

LogDir = Annotated[
    Path, typer.Option("--log-dir", envvar="UNDERSTUDY_LOG_DIR", help="folder of the routers' logs")
]
Model = Annotated[str, typer.Option("--model", help="name of the deployment")]
