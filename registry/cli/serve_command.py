"""`understudy registry serve`: the registry's process."""

from pathlib import Path
from typing import Annotated

import typer

from understudy.runtime.exit_codes import OK
from understudy.runtime.lifecycle import run
from understudy.runtime.logs import configure_logs
from understudy.runtime.settings import load_settings, show_settings
from understudy.runtime.terminal.output_option import Format, Output

app = typer.Typer()


@app.command()
def serve(
    *,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="artifacts, and the database of SQLite")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="sqlite:DIRECTORY or postgresql://… without a password [in --dir]"),
    ] = None,
    artifacts: Annotated[
        str | None, typer.Option(help="s3://BUCKET/PREFIX [a folder in --dir]")
    ] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT [127.0.0.1:8500]")] = None,
    print_settings: Annotated[
        bool, typer.Option("--print-settings", help="print the settings and exit")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Serve the registry until SIGTERM. Settings: REGISTRY_* in the environment."""
    from registry.app import serve as serve_registry  # noqa: PLC0415 - other commands start faster
    from registry.settings import RegistrySettings  # noqa: PLC0415 - as above

    overrides = {"dir": directory, "store": store, "artifacts": artifacts, "listen": listen}
    settings = load_settings(RegistrySettings, overrides)
    if print_settings:
        show_settings(settings, output)
        return
    configure_logs("registry", level=settings.log_level)

    async def main() -> int:
        await serve_registry(settings)
        return OK

    raise typer.Exit(run(main))
