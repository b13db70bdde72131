"""`understudy registry import-mlflow`: a model of an MLflow store, converted, proven and registered."""

import tomllib
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
from pyarrow import csv, parquet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from registry.cli.options import Actor, DryRun, Reason
from understudy.domain.errors import InvalidInputError, NotFoundError, RefusedError
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen
from understudy.runtime.validation import faults_of

app = typer.Typer()

_Number = int | float | dict[str, Any]  # or a waiver


class Facts(BaseModel):
    """The facts about a training that MLflow does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: tuple[datetime, datetime]
    evaluation_window: tuple[datetime, datetime] | None = None
    labels_matured_at: datetime
    label: str = ""  # its meaning; "" for that of pyproject.toml
    intended_use: str | None = None  # None for that of pyproject.toml
    split: str
    seed: int | None = None
    seeds: dict[str, int] = {}
    threshold: float | None = None
    decision_threshold: _Number
    fallback_score: _Number
    repository: str | None = None
    clean: bool | None = None
    command_line: Annotated[tuple[str, ...], Field(min_length=1)]
    machine: dict[str, str]
    kind: str | None = None
    score_class: int | None = None


@app.command("import-mlflow")
def import_mlflow(
    uri: Annotated[
        str, typer.Argument(help="models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/…")
    ],
    *,
    training: Annotated[Path, typer.Option(help="training rows with labels, Parquet or CSV")],
    evaluation: Annotated[Path, typer.Option(help="evaluation rows with labels")],
    label: Annotated[str, typer.Option(help="column of the labels")],
    query: Annotated[str | None, typer.Option(help="column of the queries of a ranking")] = None,
    facts: Annotated[Path, typer.Option(help="what MLflow does not know, TOML")],
    name: Annotated[str | None, typer.Option(help="name of the model [its name in MLflow]")] = None,
    views: Annotated[Path | None, typer.Option(help="feature views, YAML [pyproject.toml]")] = None,
    reason: Reason,
    dry_run: DryRun = False,
    registry: Annotated[
        str | None,
        typer.Option(envvar="UNDERSTUDY_REGISTRY", help="HOST:PORT of the registry"),
    ] = None,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Register a model of the MLflow store that MLFLOW_TRACKING_URI names; it is loaded, so trust it."""
    from understudy import train  # noqa: PLC0415 - other commands start faster

    known = _read_facts(facts)
    tables = [_read_table(file, (label, query)) for file in (training, evaluation)]
    logged = train.from_mlflow(
        uri,
        name=name,
        seeds=known.seeds,
        score_column=1 if known.score_class is None else known.score_class,
        repository=known.repository,
        clean=known.clean,
        command_line=known.command_line,
        machine=known.machine,
        views=views,
        registry=registry,
        author=actor,
        directory=Path.cwd(),
    )
    with logged.run as run:
        names = run.feature_names
        parts = [_rows(each, label, names, as_frame=logged.reads_frames) for each in tables]
        run.data(
            *parts,
            uri=training.resolve().as_uri(),
            window=known.window,
            evaluation_window=known.evaluation_window,
            label=known.label,
            labels_matured_at=known.labels_matured_at,
            split=known.split,
            seed=known.seed,
        )
        run.model(
            logged.model,
            kind=known.kind,
            predict=logged.predict,
            score_class=known.score_class,
            parameters=logged.parameters,
        )
        queries = None if query is None else tables[1].column(query).to_numpy()
        metrics = run.evaluate(threshold=known.threshold, queries=queries)
        run.policy(
            intended_use=known.intended_use,
            decision_threshold=known.decision_threshold,
            fallback_score=known.fallback_score,
        )
        report = run.check()
        if not report.complete:
            Screen().say(str(report))
            raise RefusedError(f"the gate refuses the version: {len(report.findings)} findings")
        version = None if dry_run else str(run.register(reason=reason))
    _print(version, metrics, logged.metrics, report.notes, output)


def _print(
    version: str | None,
    metrics: list[dict[str, Any]],
    logged: Any,
    notes: tuple[str, ...],
    output: Format,
) -> None:
    computed = {each["name"]: each["value"] for each in metrics}
    if output is Format.JSON:
        print_json(
            {"version": version, "metrics": computed, "in_mlflow": dict(logged), "notes": notes}
        )
        return
    screen = Screen()
    screen.say(f"registered {version}" if version else "complete; nothing was registered")
    rows = [(name, f"{value:.4f}", _shown(logged.get(name))) for name, value in computed.items()]
    screen.table(("metric", "computed", "in MLflow"), rows)
    for note in notes:
        screen.say(f"note: {note}")


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _read_facts(file: Path) -> Facts:
    try:
        return Facts.model_validate(tomllib.loads(file.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        accepted = "a readable file in TOML"
        raise InvalidInputError.of("--facts", read=f"{file}: {error}", accepted=accepted) from error
    except ValidationError as error:
        raise InvalidInputError(faults_of(error, root="--facts ")) from error


def _read_table(file: Path, columns: tuple[str | None, ...]) -> pa.Table:
    if not file.is_file():
        raise NotFoundError("file", file)
    try:
        table = csv.read_csv(file) if file.suffix == ".csv" else parquet.read_table(file)
    except pa.ArrowInvalid as error:
        raise InvalidInputError.of(str(file), read=error, accepted="Parquet, or CSV") from error
    absent = [name for name in columns if name is not None and name not in table.column_names]
    if absent:
        raise InvalidInputError.of(
            f"{file} columns", read=table.column_names, accepted=f"also {', '.join(absent)}"
        )
    return table


def _rows(
    table: pa.Table, label: str, names: tuple[str, ...], *, as_frame: bool
) -> tuple[Any, Any]:
    """Return rows in the form that the model takes, and labels; columns are found by name."""
    import numpy as np  # noqa: PLC0415 - as above

    if absent := [name for name in names if name not in table.column_names]:
        raise InvalidInputError.of(
            "columns", read=table.column_names, accepted=f"also {', '.join(absent)}"
        )
    labels = table.column(label).to_numpy()
    features = table.select(list(names))
    if as_frame and find_spec("pandas") is not None:
        return features.to_pandas(), labels
    return np.column_stack([features.column(name).to_numpy() for name in names]), labels
