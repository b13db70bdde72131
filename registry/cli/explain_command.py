"""The way back from a logged answer to the version, its proofs, and the change behind it."""

from typing import Annotated

import typer

from registry.cli.explain_output import print_explanations
from registry.cli.options import Registry
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.domain.errors import NotFoundError
from understudy.logs.place_option import LogDir
from understudy.runtime.terminal.output_option import Format, Output

app = typer.Typer()

_MOST_ROWS = 1_000


@app.command()
def explain(
    request_id: Annotated[str, typer.Argument(help="id of the request, as in its answer")],
    *,
    log_dir: LogDir,
    candidate: Annotated[
        str | None, typer.Option(help="candidate id, in its logged form [all candidates]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST_ROWS, help="most rows to explain")] = 10,
    verify: Annotated[
        bool, typer.Option("--verify", help="let the registry hash the artifact and its log anew")
    ] = False,
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Explain a logged answer: version, digests, features, revision, and the people behind it."""
    from registry.cli.explanations import Explainer  # noqa: PLC0415 - other commands start faster
    from understudy.logs.find_request import rows_of_request  # noqa: PLC0415 - as above

    with log_dir.opened() as folder:
        rows = rows_of_request(folder, request_id)
    if candidate is not None:
        rows = [row for row in rows if row.columns["candidate_id"] == candidate]
    if not rows:
        of = "" if candidate is None else f" with candidate {candidate}"
        raise NotFoundError("request", f"{request_id}{of} in the score log {log_dir}")
    with RegistryClient(registry) as client:
        explainer = Explainer(client, verify=verify)
        found = [explainer.explain(row) for row in rows[:limit]]
    print_explanations(found, output, left_out=len(rows) - len(found))
