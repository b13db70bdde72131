"""Checks of missing values: the trees that send them wrongly, and the columns proven with them."""

from collections.abc import Iterator

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype, FeatureRef
from understudy.features.decisions.tensor_columns import lay_out
from understudy.gate.artifact_checks import tensor_spec
from understudy.gate.feature_checks import column_inputs
from understudy.provenance.artifact_record import Features
from understudy.provenance.findings import Finding, shown
from understudy.provenance.inspection import Inspection
from understudy.provenance.record import Parent

_FIELD = "parent.conversion.columns_with_missing"


def missing_findings(
    features: Features | None, parent: Parent | None, inspection: Inspection
) -> Iterator[Finding]:
    """Yield claims about missing values without proof, and trees whose columns need that proof.

    The registry has no original to ask. It verifies that the model was replayed on a row in which
    the column is missing; that the original answered alike remains the author's claim.
    """
    if features is None:
        return
    claimed = () if parent is None else parent.conversion.columns_with_missing
    yield from _unproven_claims(features, claimed, inspection)
    if inspection.sends_missing_right:
        yield from _tree_findings(features, set(claimed))


def _unproven_claims(
    features: Features, claimed: tuple[str, ...], inspection: Inspection
) -> Iterator[Finding]:
    if not claimed:
        return
    known = {column.ref for column in features.columns}
    if unknown := [ref for ref in claimed if ref not in known]:
        yield Finding(_FIELD, shown(unknown), "columns of features.columns")
    proven = _missing_in_golden(features, inspection)
    if proven is None:
        return
    if unproven := [ref for ref in claimed if ref in known and ref not in proven]:
        wanted = "for each a golden row in which it is missing (NaN, or an empty text)"
        yield Finding(_FIELD, f"{shown(unproven)}, missing in no golden row", wanted)


def _missing_in_golden(features: Features, inspection: Inspection) -> set[str] | None:
    """Return the columns that are missing in some golden row; None if the gate cannot tell."""
    if not inspection.golden_rows:
        return None
    try:
        tensors = lay_out(
            [tensor_spec(each) for each in inspection.inputs],
            [FeatureRef.parse(column.ref) for column in features.columns],
            [Feature(column.ref, FeatureDtype(column.dtype)) for column in features.columns],
            column_inputs(features.columns),
        )
    except (InvalidInputError, ValueError):  # no plan, as the checks of features report
        return None
    return {
        features.columns[tensor.places[at]].ref
        for tensor, missing in zip(tensors, inspection.golden_missing, strict=False)
        for at in missing
    }


def _tree_findings(features: Features, proven: set[str]) -> Iterator[Finding]:
    """Yield a finding if trees of skl2onnx would be asked with values that they send wrongly."""
    open_columns = [
        column.ref
        for column in features.columns
        if column.default is None and column.dtype != "string" and column.ref not in proven
    ]
    if open_columns:
        yield Finding(
            "features.columns",
            f"no default for {shown(open_columns)}",
            "a default for each: skl2onnx sends missing values in trees another way than "
            "scikit-learn; or understudy.provenance.forests.mend_missing, and a comparison on rows "
            f"with missing values ({_FIELD})",
        )
