"""A model of an MLflow registry as a run: MLflow's facts, and questions only for the rest."""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from understudy.domain.errors import InvalidInputError
from understudy.provenance.capture import CodeFacts, StartedRun
from understudy.train.elsewhere import Elsewhere
from understudy.train.run import Run
from understudy.train.start import begin

# Modules of MLflow that load the library's own model, by flavour; the first one that is there counts.
_FLAVOURS = ("sklearn", "lightgbm", "xgboost", "catboost", "pytorch", "onnx")
_COMMIT = ("mlflow.source.git.commit", "mlflow.databricks.gitRepoCommit")
_REPOSITORY = ("mlflow.source.git.repoURL", "mlflow.databricks.gitRepoUrl")
_DIRTY = "mlflow.source.git.dirty"
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([\w.+!-]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """A run over a model that MLflow has, and what MLflow knows beside the record."""

    run: Run
    model: Any  # as its library has it, for `run.model`
    predict: Callable[[Any], Any] | None  # for `run.model`: of an ONNX file as it was logged
    parameters: Mapping[str, Any]  # for `run.model`, as MLflow logged them
    metrics: Mapping[str, float]  # as MLflow logged them; the record's are computed anew
    reads_frames: bool  # the model was logged with named columns; otherwise it takes arrays


def from_mlflow(
    uri: str,
    *,
    name: str | None = None,
    features: Sequence[str] = (),
    seeds: Mapping[str, int] | None = None,
    score_column: int = 1,
    repository: str | None = None,
    clean: bool | None = None,
    command_line: Sequence[str] = (),
    machine: Mapping[str, str] | None = None,
    views: Path | None = None,
    registry: str | None = None,
    author: str | None = None,
    directory: Path | None = None,
) -> LoggedModel:
    """Return a run over a logged model; `data`, `model`, `evaluate`, `policy` follow as usual.

    MLflow gives the commit, the times, the id and the user of its run, the entry point, parameters,
    metrics, packages with versions, and the model. The rest is asked for by the gate.

    Args:
        uri: models:/NAME@ALIAS, models:/NAME/VERSION or runs:/ID/PATH, in MLflow's current store.
        name: of the model here; None for its name in MLflow.
        features: as in `start_run`.
        seeds: as in `start_run`.
        score_column: of a logged ONNX file: the column of its scores, among several.
        repository: URL of the code; needed where MLflow did not log it.
        clean: no uncommitted changes at the start of the training; needed where MLflow did not log it.
        command_line: of the training, which MLflow does not log.
        machine: os, cpu and gpu of the training, which MLflow does not log.
        views: as in `start_run`.
        registry: as in `start_run`.
        author: as in `start_run`.
        directory: where pyproject.toml is looked for; None for that of the script.

    Raises:
        InvalidInputError: MLflow is not installed or has no such model, or its flavours are others.
    """
    mlflow = _module("mlflow")
    try:
        found = mlflow.models.get_model_info(uri)
        logged = mlflow.MlflowClient().get_run(found.run_id)
        with TemporaryDirectory(prefix="understudy-mlflow-") as folder:
            place = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
            requirements = place / "requirements.txt"
            pins = requirements.read_bytes() if requirements.is_file() else b""
            model, flavour = _load(found.flavors, place)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidInputError.of(
            "model URI", read=f"{uri}: {reason}", accepted="a model of MLflow's current store"
        ) from error
    tags = logged.data.tags
    code = CodeFacts(Path.cwd(), tags.get("mlflow.source.name") or "")
    facts = found.flavors.get("python_function", {})
    elsewhere = Elsewhere(
        ended_at=_time(logged.info.end_time),
        command_line=tuple(command_line),
        python=str(facts.get("python_version", "")),
        lockfile_sha256=sha256(pins).hexdigest() if pins else None,
        packages=dict(_PIN.findall(pins.decode(errors="replace"))),
        machine=dict(machine or {}),
    )
    started = StartedRun(
        id=found.run_id,
        builder=f"MLflow, {tags.get('mlflow.user') or logged.info.user_id}",
        started_at=_time(logged.info.start_time),
        source=_source(tags, repository, clean=clean),
    )
    run = begin(
        name or _name_in(uri),
        started=started,
        code=code,
        directory=directory,
        features=features,
        views=views,
        seeds=seeds,
        registry=registry,
        people={"author": author},
        elsewhere=elsewhere,
    )
    predict = _predict_of_file(uri, score_column) if flavour == "onnx" else None
    parameters = {f"mlflow.{key}": value for key, value in sorted(logged.data.params.items())}
    signature = found.signature
    reads_frames = signature is not None and not signature.inputs.is_tensor_spec()
    return LoggedModel(
        run, model, predict, parameters, dict(logged.data.metrics), reads_frames=reads_frames
    )


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InvalidInputError.of(
            name, read=error, accepted="the package mlflow or mlflow-skinny, and that of the model"
        ) from error


def _load(flavours: Mapping[str, Any], place: Path) -> tuple[Any, str]:
    """Return the model as its library has it, and its flavour."""
    flavour = next((each for each in _FLAVOURS if each in flavours), None)
    if flavour is None:
        raise InvalidInputError.of(
            "flavours", read=sorted(flavours), accepted=f"one of {', '.join(_FLAVOURS)}"
        )
    try:
        return _module(f"mlflow.{flavour}").load_model(str(place)), flavour
    except ImportError as error:  # of the model's library, which MLflow imports when it loads
        raise _absent_library(flavour, error) from error


def _absent_library(flavour: str, error: ImportError) -> InvalidInputError:
    """Return the error for a model whose library is not installed here."""
    accepted = "the library of the model, in the version of its training, in this environment"
    if flavour == "pytorch":
        accepted += (
            "; or, as torch is large, an export where torch is: torch.onnx.export, "
            "mlflow.onnx.log_model, and the import of that flavour"
        )
    return InvalidInputError.of(f"library of flavour {flavour}", read=error, accepted=accepted)


def _source(tags: Mapping[str, str], given: str | None, *, clean: bool | None) -> dict[str, Any]:
    commit = next((tags[each] for each in _COMMIT if tags.get(each)), None)
    if commit is None:
        return {"why": "MLflow's run names no commit"}
    repository = next((tags[each] for each in _REPOSITORY if tags.get(each)), given)
    source: dict[str, Any] = {"kind": "git", "commit": commit}
    if repository is not None:
        source["repository"] = repository
    logged = tags.get(_DIRTY)
    if logged is not None:
        source["dirty"] = logged.casefold() == "true"
    elif clean is not None:
        source["dirty"] = not clean
    return source


def _predict_of_file(uri: str, column: int) -> Callable[[Any], Any]:
    """Return the scores of an ONNX file as it was logged, by MLflow's own way of running it."""
    loaded = _module("mlflow.pyfunc").load_model(uri)

    def predict(rows: Any) -> Any:
        answers = loaded.predict(rows)
        wanted = [name for name in answers if "prob" in name.casefold()] or [*answers]
        values = np.asarray(answers[wanted[-1]])
        return values if values.ndim == 1 else values[:, column]

    return predict


def _name_in(uri: str) -> str:
    found = re.fullmatch(r"models:/([^/@]+)[/@].+", uri)
    if found is None:
        raise InvalidInputError.of("name", read=f"None for {uri}", accepted="a name for the model")
    return found[1]


def _time(milliseconds: int | None) -> datetime:
    if milliseconds is None:
        raise InvalidInputError.of("MLflow's run", read="no end", accepted="a run that has ended")
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
