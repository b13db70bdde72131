"""Conversion of a model by its own library's converter, and the proof that both answer alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureDtype, FeatureRef
from understudy.domain.versions import MODEL_FILE, ScoreOutput
from understudy.features.decisions.feature_columns import FeatureColumn
from understudy.provenance.capture import write_golden
from understudy.provenance.zipmap import take_off_zipmap
from understudy.train.converters import boosting, network, scikit_learn
from understudy.train.converters.target import Target
from understudy.train.decisions.agreement import Agreement
from understudy.train.decisions.kinds import score_output_of
from understudy.train.decisions.probes import with_missing
from understudy.train.original import Original
from understudy.train.parity import Predict, compare
from understudy.train.rows import Rows
from understudy.train.served_model import ServedModel

GOLDEN_TOLERANCE = 1e-5  # a replay in another build of ONNX Runtime may differ in the last digits
_GOLDEN_ROWS = 16  # beside one for each column that is proven with missing values


@dataclass(frozen=True, slots=True)
class Wishes:
    """The author's choices, where the model does not tell."""

    predict: Predict | None = None
    score: ScoreOutput | None = None
    score_class: int | None = None
    tolerance: float = 1e-4
    inputs: Mapping[str, Sequence[str]] | None = None  # names of features by input
    joins_rows: bool = True


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model whose parity is proven."""

    served: ServedModel
    score: ScoreOutput
    column_inputs: dict[str, str]  # input by feature, where names do not tell
    agreement: Agreement


def convert_model(
    original: Original,
    columns: Sequence[FeatureColumn],
    rows: Rows,
    wishes: Wishes,
    artifact_dir: Path,
) -> Converted:
    """Write model.onnx and golden.npz to `artifact_dir`.

    Args:
        original: the model, of any library with a converter, or an ONNX file.
        columns: of the feature set.
        rows: real ones, for parity and golden vectors.
        wishes: of the author.
        artifact_dir: an empty folder.

    Raises:
        InvalidInputError: the model is not converted, its inputs do not fit the feature set, or it
            answers in another way than the original; every kind of row and column is named.
    """
    target = Target(tuple(column.feature for column in columns), _reads_by_name(original, rows))
    model_file = artifact_dir / MODEL_FILE
    _write(original, target, wishes, model_file)
    take_off_zipmap(model_file)
    refs = [column.ref for column in columns]
    declared = _column_inputs(refs, target, wishes, model_file)
    served = ServedModel(
        model_file,
        refs,
        target.features,
        column_inputs=[declared.get(str(ref), "") for ref in refs] if declared else (),
        joins_rows=wishes.joins_rows,
    )
    score = wishes.score or score_output_of(served.outputs, original.kind, wishes.score_class)
    _check_score(score, served)
    predict = wishes.predict or _own_predict(original, target, wishes, score)
    agreement = compare(predict, served, score, rows, tolerance=wishes.tolerance)
    if agreement.faults:
        raise InvalidInputError(agreement.faults)
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _GOLDEN_ROWS)))
    taken = rows.taken(chosen.astype(np.intp)).columns
    golden = with_missing(taken, target.features, agreement.places_with_missing)
    write_golden(artifact_dir, served.tensors(golden), joins_rows=wishes.joins_rows)
    return Converted(served, score, declared, agreement)


def _reads_by_name(original: Original, rows: Rows) -> bool:
    """Return whether a pipeline needs an input per column: it reads texts, or names columns."""
    if any(each.dtype is FeatureDtype.STRING for each in rows.features):
        return True
    steps = [step for _, step in getattr(original.model, "steps", [("", original.model)])]
    return hasattr(rows.given, "iloc") and any(hasattr(step, "transformers") for step in steps)


def _write(original: Original, target: Target, wishes: Wishes, model_file: Path) -> None:
    model, kind = original.model, original.kind
    match original.library:
        case "sklearn":
            scikit_learn.convert(model, target, model_file)
        case "lightgbm":
            boosting.convert_lightgbm(model, kind, target, model_file)
        case "xgboost":
            boosting.convert_xgboost(model, kind, target, model_file)
        case "catboost":
            boosting.convert_catboost(model, target, model_file)
        case "torch":
            network.convert(model, target, wishes.inputs, model_file)
        case "onnx":
            model_file.write_bytes(_content(model))
        case _:
            raise InvalidInputError.of(
                "model",
                read=f"{type(model).__module__}.{type(model).__qualname__}",
                accepted="a model of scikit-learn, LightGBM, XGBoost, CatBoost or PyTorch, or an "
                "ONNX file: its path, its bytes, or an onnx.ModelProto",
            )


def _content(model: Any) -> bytes:
    if isinstance(model, bytes):
        return model
    if hasattr(model, "SerializeToString"):
        content: bytes = model.SerializeToString()
        return content
    try:
        return Path(model).read_bytes()
    except OSError as error:
        read = f"{model}: {error.strerror}"
        raise InvalidInputError.of("model", read=read, accepted="a readable file") from error


def _column_inputs(
    refs: Sequence[FeatureRef], target: Target, wishes: Wishes, model_file: Path
) -> dict[str, str]:
    """Return the input of each column, where it must be declared."""
    if wishes.inputs is not None:
        by_name = {ref.feature: str(ref) for ref in refs}
        return {
            by_name[name]: each
            for each, names in wishes.inputs.items()
            for name in names
            if name in by_name
        }
    if not target.by_name:
        return {}
    import onnx  # noqa: PLC0415 - slow to import

    # The converter keeps the order of the inputs, and renames some that are no identifiers.
    model = onnx.load(model_file, load_external_data=False)
    names = [each.name for each in model.graph.input]
    wanted = [feature.name for feature in target.features]
    if names == wanted or len(names) != len(wanted):
        return {}
    return dict(zip(map(str, refs), names, strict=True))


def _check_score(score: ScoreOutput, served: ServedModel) -> None:
    names = [spec.name for spec in served.outputs]
    if score.output not in names:
        raise InvalidInputError.of("score", read=score.output, accepted=f"one of {names}")


def _own_predict(original: Original, target: Target, wishes: Wishes, score: ScoreOutput) -> Predict:
    found = original.predict_of(wishes.score_class)
    if found is None and original.library == "torch":
        found = network.predict_of(original.model, target, wishes.inputs, score.column)
    if found is None:
        raise InvalidInputError.of(
            "predict",
            read=f"None for a model of {original.library}",
            accepted="a function from rows to scores, by the library that trained the model: "
            "without it nothing shows that the file answers as the original does",
        )
    return found
