"""Every part of a version that acts is in the digest of its content."""

from dataclasses import fields, replace
from typing import Any

import pytest

from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView
from understudy.domain.snapshots import VersionSpec
from understudy.domain.version_content import content_digest_of
from understudy.domain.versions import ArtifactFile, ScoreOutput, TensorSpec, VersionRef

VIEW = FeatureView("patient", 1, "patient", (Feature("age", FeatureDtype.FLOAT32, default=1.0),))
SPEC = VersionSpec(
    ref=VersionRef("fraud", 1),
    artifact_digest="a",
    files=(ArtifactFile("model.onnx", "f", 1),),
    provenance_digest="p",
    inputs=(TensorSpec("X", "FP32", (-1, 1)),),
    outputs=(TensorSpec("y", "FP32", (-1, 2)),),
    feature_set=(FeatureRef("patient", 1, "age"),),
    feature_views=(VIEW,),
    score_output=ScoreOutput("y", 1),
    golden_tolerance=1e-5,
)
WITH_ANOTHER_DEFAULT = replace(VIEW, features=(replace(VIEW.features[0], default=2.0),))
OTHERS: dict[str, Any] = {
    "artifact_digest": "b",
    "provenance_digest": "q",
    "inputs": (TensorSpec("X", "FP32", (-1, 2)),),
    "outputs": (TensorSpec("z", "FP32", (-1, 2)),),
    "feature_set": (FeatureRef("patient", 1, "weight"),),
    "feature_views": (WITH_ANOTHER_DEFAULT,),
    "score_output": ScoreOutput("y", 0),
    "golden_tolerance": 1e-4,
    "column_inputs": ("X",),
    "joins_rows": False,
}
# The number is not content, and the artifact's digest covers its files.
APART = {"ref", "files"}


def test_every_field_is_content_or_named_as_none() -> None:
    assert {field.name for field in fields(VersionSpec)} == OTHERS.keys() | APART


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_part_that_acts_changes_the_digest(name: str) -> None:
    assert content_digest_of(replace(SPEC, **{name: OTHERS[name]})) != content_digest_of(SPEC)


def test_equal_content_has_one_digest_under_every_number() -> None:
    assert content_digest_of(replace(SPEC, ref=VersionRef("other", 7))) == content_digest_of(SPEC)
