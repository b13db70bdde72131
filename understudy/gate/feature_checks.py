"""Checks of the feature set: views exist, digests match, the model's inputs fit."""

from collections.abc import Iterator, Mapping

from understudy.domain.canonical import canonical_json, digest_of_text
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureRef, FeatureView, written_default
from understudy.domain.versions import MODEL_FILE
from understudy.gate.submission import Submission
from understudy.provenance.findings import NOTHING, Finding, shown
from understudy.provenance.record import FeatureColumn, Features, Tensor

_MATRIX = 2  # dimensions of a tensor with a row per entity


def feature_findings(
    submission: Submission, declared: Features | None, known_digests: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield faults of the views, of the declared columns, and of their fit to the model."""
    yield from _redefinitions(submission.views, known_digests)
    if declared is None:
        return
    yield from _column_findings(declared, submission.views)
    digest = columns_digest(declared.columns)
    if digest != declared.digest:
        yield Finding("features.digest", declared.digest, f"{digest}, by features.columns")
    digests = {str(view): view.digest for view in submission.views}
    if declared.view_digests != digests:
        yield Finding(
            "features.view_digests", shown(declared.view_digests), f"{shown(digests)}, as sent"
        )
    model = {file.path: file.sha256 for file in submission.files}.get(MODEL_FILE)
    transform = declared.transform
    if transform.where == "in_model" and transform.digest != model:
        yield Finding("features.transform.digest", transform.digest, f"{model}, of {MODEL_FILE}")
    if submission.inspection.inputs:
        yield from _input_findings(declared.columns, submission.inspection.inputs)


def columns_digest(columns: tuple[FeatureColumn, ...]) -> str:
    """Return the digest of an ordered feature set."""
    return digest_of_text(canonical_json([column.model_dump(mode="json") for column in columns]))


def _redefinitions(
    views: tuple[FeatureView, ...], known_digests: Mapping[str, str]
) -> Iterator[Finding]:
    if len({str(view) for view in views}) != len(views):
        yield Finding("feature_views", shown([str(view) for view in views]), "each view once")
    for view in views:
        known = known_digests.get(str(view))
        if known is not None and known != view.digest:
            yield Finding(
                f"feature_views.{view}",
                f"digest {view.digest}",
                f"{known}, as registered before, or a new version of the view",
            )


def _column_findings(declared: Features, views: tuple[FeatureView, ...]) -> Iterator[Finding]:
    by_name = {str(view): {f.name: f for f in view.features} for view in views}
    seen: set[str] = set()
    for index, column in enumerate(declared.columns):
        path = f"features.columns[{index}]"
        try:
            ref = FeatureRef.parse(column.ref, f"{path}.ref")
        except InvalidInputError as error:
            yield from map(Finding.of, error.faults)
            continue
        if column.ref in seen:
            yield Finding(f"{path}.ref", column.ref, "each feature once")
        seen.add(column.ref)
        feature = by_name.get(f"{ref.view}@{ref.view_version}", {}).get(ref.feature)
        if feature is None:
            yield Finding(f"{path}.ref", column.ref, f"a feature of {sorted(by_name) or NOTHING}")
        else:
            yield from _definition_findings(path, column, feature)


def _definition_findings(path: str, column: FeatureColumn, feature: Feature) -> Iterator[Finding]:
    for name, claim, fact in (
        ("dtype", column.dtype, feature.dtype.value),
        ("default", column.default, written_default(feature.default)),
        ("max_age_s", column.max_age_s, feature.max_age_s),
    ):
        if claim != fact:
            yield Finding(f"{path}.{name}", shown(claim), f"{shown(fact)}, as in the view")


def _input_findings(
    columns: tuple[FeatureColumn, ...], inputs: tuple[Tensor, ...]
) -> Iterator[Finding]:
    for tensor in inputs:
        if len(tensor.shape) != _MATRIX or tensor.shape[0] != -1:
            yield Finding(
                "artifact.inputs", f"{tensor.name} {list(tensor.shape)}", "[any rows, columns]"
            )
    width = sum(tensor.shape[1] for tensor in inputs if len(tensor.shape) == _MATRIX)
    if width != len(columns) or (len(inputs) > 1 and len(inputs) != len(columns)):
        yield Finding(
            "features.columns",
            f"{len(columns)} columns",
            f"as many as the model reads: {width}, in {len(inputs)} inputs "
            "(one input with all columns, or one input of width 1 for each)",
        )
        return
    for index, column in enumerate(columns):
        tensor = inputs[0] if len(inputs) == 1 else inputs[index]
        if (column.dtype == "string") != (tensor.datatype == "BYTES"):
            yield Finding(
                f"features.columns[{index}].dtype",
                f"{column.dtype} into {tensor.name} {tensor.datatype}",
                "strings into BYTES, numbers into the others",
            )
