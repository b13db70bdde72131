"""The groups of a record that describe the files and the feature set of a version."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from understudy.artifact.digests import digest_and_size
from understudy.domain.canonical import canonical_json, digest_of_text
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import FeatureRef, FeatureView, written_default
from understudy.domain.versions import MODEL_FILE


def artifact_facts(
    artifact_dir: Path, golden_tolerance: float, *, joins_rows: bool = True
) -> dict[str, Any]:
    """Return the `artifact` group, read from the files themselves.

    Raises:
        InvalidInputError: the model cannot be opened; the message is the gate's.
    """
    from understudy.provenance.inspect_artifact import (  # noqa: PLC0415 - loads ONNX Runtime
        inspect_directory,
    )

    seen = inspect_directory(artifact_dir, joins_rows=joins_rows)
    if not seen.inputs:  # an incomplete record would hide the reason
        raise InvalidInputError(
            [Fault(each.field, each.read, each.wanted) for each in seen.problems]
        )
    return {
        "files": [
            _file_fact(artifact_dir, path)
            for path in sorted(artifact_dir.rglob("*"))
            if path.is_file()
        ],
        "opsets": seen.opsets,
        "ir_version": seen.ir_version,
        "producer": seen.producer,
        "inputs": [tensor.model_dump(mode="json") for tensor in seen.inputs],
        "outputs": [tensor.model_dump(mode="json") for tensor in seen.outputs],
        "golden": {"rows": seen.golden_rows, "tolerance": golden_tolerance},
        "joins_rows": joins_rows,
    }


def feature_facts(
    feature_set: Sequence[str],
    views: Sequence[FeatureView],
    artifact_dir: Path,
    column_inputs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the `features` group of a model whose transforms are inside model.onnx.

    Args:
        feature_set: `view@version:feature`, in the order of the model's columns.
        views: that define the features.
        artifact_dir: contains model.onnx.
        column_inputs: name of the model's input by column, where names do not tell.

    Raises:
        InvalidInputError: a column does not have the form `view@version:feature`.
        KeyError: a column names a feature that is in none of `views`.
    """
    known = {(view.name, view.version): view for view in views}
    declared = column_inputs or {}
    columns: list[dict[str, Any]] = []
    for text in feature_set:
        ref = FeatureRef.parse(text)
        features = {each.name: each for each in known[ref.view, ref.view_version].features}
        feature = features[ref.feature]
        columns.append(
            {
                "ref": text,
                "dtype": feature.dtype.value,
                "default": written_default(feature.default),
                "max_age_s": feature.max_age_s,
                **({"input": declared[text]} if text in declared else {}),
            }
        )
    model_digest, _ = digest_and_size(artifact_dir / MODEL_FILE)
    return {
        "columns": columns,
        "digest": digest_of_text(canonical_json(columns)),
        "view_digests": {str(view): view.digest for view in views},
        "transform": {"where": "in_model", "digest": model_digest},
    }


def _file_fact(root: Path, path: Path) -> dict[str, Any]:
    digest, size_bytes = digest_and_size(path)
    return {"path": path.relative_to(root).as_posix(), "sha256": digest, "size_bytes": size_bytes}
