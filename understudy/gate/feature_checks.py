"""Checks of the feature set: views exist, digests match, the model's inputs fit."""

from collections.abc import Iterator, Mapping

from understudy.domain.canonical import canonical_json, digest_of_text
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureRef, FeatureView, written_default
from understudy.domain.versions import MODEL_FILE
from understudy.features.serving.assembly import compile_plan
from understudy.gate.artifact_checks import tensor_spec
from understudy.gate.submission import Submission
from understudy.provenance.artifact_record import FeatureColumn, Features
from understudy.provenance.findings import NOTHING, Finding, shown


def feature_findings(
    submission: Submission, declared: Features | None, known_digests: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield faults of the views, of the declared columns, and of their fit to the model."""
    yield from _redefinitions(submission.views, known_digests)
    if declared is None:
        return
    of_columns = [*_column_findings(declared, submission.views)]
    yield from of_columns
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
    # A column without a feature has no plan, and its finding already.
    if submission.inspection.inputs and not any(f.field.endswith(".ref") for f in of_columns):
        yield from _plan_findings(submission, declared)


def columns_digest(columns: tuple[FeatureColumn, ...]) -> str:
    """Return the digest of an ordered feature set."""
    return digest_of_text(canonical_json([_written(column) for column in columns]))


def column_inputs(columns: tuple[FeatureColumn, ...]) -> tuple[str, ...]:
    """Return the declared input of each column, "" where there is none; () if none has one."""
    names = tuple(column.input or "" for column in columns)
    return names if any(names) else ()


def _written(column: FeatureColumn) -> dict[str, object]:
    """Return a column as the digest covers it: an input only if it is declared."""
    written = column.model_dump(mode="json")
    if column.input is None:
        del written["input"]
    return written


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


def _plan_findings(submission: Submission, declared: Features) -> Iterator[Finding]:
    """Yield the router's reasons against a plan for this version."""
    try:
        compile_plan(
            [FeatureRef.parse(column.ref) for column in declared.columns],
            submission.views,
            [tensor_spec(each) for each in submission.inspection.inputs],
            column_inputs(declared.columns),
        )
    except InvalidInputError as error:
        yield from map(Finding.of, error.faults)
