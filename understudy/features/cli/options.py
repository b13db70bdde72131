"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ViewsFile = Annotated[Path, typer.Option("--views", help="YAML file with the feature views.")]
StoreUrl = Annotated[
    str, typer.Option("--store", help="lmdb:FOLDER or aerospike://HOST:PORT/NAMESPACE.")
]
StoredView = Annotated[
    str | None,
    typer.Option("--view", help="NAME or NAME@VERSION; by default the only stored view."),
]
