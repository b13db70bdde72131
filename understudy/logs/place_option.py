"""The option of all commands that read logs; LOG_DIR for those that can do without."""

from typing import Annotated

import typer

from understudy.logs.places import LogPlace

LOG_DIR = typer.Option(
    "--log-dir",
    envvar="UNDERSTUDY_LOG_DIR",
    parser=LogPlace.parse,
    metavar="DIR|URL",
    help="folder of the routers' logs, or the store to which they ship them: s3://BUCKET/PREFIX",
)
LogDir = Annotated[LogPlace, LOG_DIR]
