"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ViewsFile = Annotated[Path, typer.Option("--views", help="YAML file with the feature views.")]
StoreUrl = Annotated[
    str, typer.Option("--store", help="lmdb:FOLDER or aerospike://HOST:PORT/NAMESPACE.")
]
