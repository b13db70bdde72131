import json
from hashlib import sha256
from math import nextafter

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.margin_samples import MARGINS_WITHOUT_THRESHOLD
from understudy.domain.canonical import (
    canonical_json,
    digest_of,
    exact_integer,
    number_as_written,
)
from understudy.domain.deployments import (
    Challenger,
    Deployment,
    Fallback,
    Rule,
    RuleOperator,
    Shadow,
    content_of,
    deployment_from_content,
)
from understudy.domain.features import (
    Feature,
    FeatureDtype,
    FeatureView,
    view_from_canonical_json,
)
from understudy.domain.request_contract import (
    RequestContract,
    RequestFeature,
    contract_content,
    contract_from_content,
)
from understudy.domain.versions import ArtifactFile, artifact_digest

EXACT = st.integers(-(2**53) + 1, 2**53 - 1)
NUMBERS = EXACT | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


def read(text: str) -> object:
    return json.loads(text, parse_int=number_as_written)


@pytest.mark.parametrize(
    ("value", "text"),
    # RFC 8785, appendix B, and section 3.2.3 for the order of names (UTF-16 code units).
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (999999999999999700000.0, "999999999999999700000"),
        (1e21, "1e+21"),
        (1e-6, "0.000001"),
        (nextafter(1e-6, 0), "9.999999999999997e-7"),
        (333333333.3333332, "333333333.3333332"),
        (
            {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
            '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}',
        ),
    ],
)
def test_the_text_is_that_of_rfc_8785(value: object, text: str) -> None:
    assert canonical_json(value) == text


@given(JSON)
def test_a_value_read_from_canonical_text_gives_the_same_text(value: object) -> None:
    text = canonical_json(value)

    assert canonical_json(read(text)) == text


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), float("inf"), "\ud800"])
def test_a_value_that_other_readers_would_read_differently_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        canonical_json(value)


@given(st.integers())
def test_an_integer_is_exact_as_a_number_or_as_a_string(value: int) -> None:
    written = exact_integer(value)

    assert int(written) == value
    assert isinstance(written, str) == (abs(value) >= 2**53)
    canonical_json(written)


@given(st.integers(-(10**25), 10**25))
def test_an_integer_literal_is_never_read_as_another_number(value: int) -> None:
    found = number_as_written(str(value))

    assert found == value
    if isinstance(found, float):
        assert rfc8785.dumps(found).decode() == str(value)


def test_a_digest_is_the_sha256_of_a_document_that_names_its_form() -> None:
    files = [ArtifactFile("model.onnx", "ab" * 32, 7)]
    text = (
        '{"files":[{"path":"model.onnx","sha256":"' + "ab" * 32 + '","size_bytes":7}],'
        '"format":"understudy/artifact/1"}'
    )

    assert artifact_digest(files) == sha256(text.encode()).hexdigest()
    assert digest_of("artifact/2", {}) != digest_of("artifact/1", {})


FINITE = st.floats(allow_nan=False, allow_infinity=False)
DEPLOYMENTS = st.builds(
    Deployment,
    model=st.just("fraud"),
    revision=st.just(3),
    champion=st.just(1),
    salt=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    challengers=st.just((Challenger(2, 10_000),)),
    shadows=st.builds(
        lambda margins: (Shadow(3, 1, margins=margins),), st.none() | MARGINS_WITHOUT_THRESHOLD
    ),
    fallback=st.builds(
        Fallback,
        version=st.none() | st.just(4),
        last_score_max_age_s=st.none() | st.floats(1e-3, 1e9),
        constant_score=st.none() | FINITE,
    ),
    decision_threshold=st.none() | FINITE,
    rules=st.lists(
        st.builds(
            Rule,
            name=st.just("large"),
            feature=st.just("amount"),
            operator=st.sampled_from(RuleOperator),
            value=FINITE,
            action=TEXTS,
            score=FINITE,
            request_dtype=st.none() | st.sampled_from(FeatureDtype),
        ),
        max_size=1,
    ).map(tuple),
    contract=st.builds(
        RequestContract,
        required_entities=st.just(("user",)),
        entities=st.just(("shop", "user")),
        features=st.lists(
            st.builds(RequestFeature, TEXTS, st.sampled_from(FeatureDtype)),
            unique_by=lambda each: each.name,
        ).map(tuple),
        outputs=st.lists(TEXTS, unique=True).map(tuple),
        unit_entity=st.none() | st.just("user"),
        seen_version=st.integers(0, 9),
    ),
)


@given(DEPLOYMENTS)
def test_a_revision_is_read_as_it_was_written(deployment: Deployment) -> None:
    written = json.loads(canonical_json(content_of(deployment)))
    contract = json.loads(canonical_json(contract_content(deployment.contract)))
    found = deployment_from_content(written, 3, contract_from_content(contract))

    assert found == deployment
    assert found.digest == deployment.digest
    assert isinstance(found.fallback.last_score_max_age_s, float | None)


DEFAULTS = {
    FeatureDtype.FLOAT64: FINITE | EXACT,
    FeatureDtype.INT64: st.integers(-(2**63), 2**63 - 1),
    FeatureDtype.BOOL: st.booleans(),
    FeatureDtype.STRING: TEXTS,
}


@given(st.data(), st.sampled_from(sorted(DEFAULTS)), st.none() | st.floats(1, 1e9))
def test_a_view_is_read_as_it_was_written(
    data: st.DataObject, dtype: FeatureDtype, seconds: float | None
) -> None:
    default = data.draw(st.none() | DEFAULTS[dtype])
    view = FeatureView("v", 1, "user", (Feature("f", dtype, default, seconds),), seconds)

    found = view_from_canonical_json(view.canonical_json)

    assert found == view
    assert found.digest == view.digest
    if dtype is FeatureDtype.INT64:
        assert default is None or type(found.features[0].default) is int
