"""The values that callers put into requests: exact, or refused by name."""

from decimal import Decimal
from enum import IntEnum
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from understudy.client.requests import batch_request, outcomes_request, score_request

SERIAL = UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")


@pytest.mark.parametrize(
    ("given", "kind", "taken"),
    [
        (np.int64(2**53 + 1), "integer", 2**53 + 1),
        (np.uint64(2**63 - 1), "integer", 2**63 - 1),
        (np.int8(-7), "integer", -7),
        (np.bool_(True), "flag", True),
        (np.float32(0.1), "number", float(np.float32(0.1))),
        (np.float64(2.5), "number", 2.5),
        (np.array(3), "integer", 3),
        (np.str_("x"), "text", "x"),
        (7, "integer", 7),
        (IntEnum("Level", "HIGH").HIGH, "integer", 1),  # type: ignore[attr-defined]
        (True, "flag", True),
    ],
    ids=str,
)
def test_a_scalar_is_the_number_that_it_holds(given: Any, kind: str, taken: Any) -> None:
    value = score_request("m", {}, features={"serial": given}).features["serial"]

    assert value.WhichOneof("kind") == kind
    assert getattr(value, kind) == taken


NO_NUMBERS = [SERIAL, b"x", np.array([1, 2]), [1], np.datetime64(1, "ns"), np.timedelta64(1, "ns")]


@pytest.mark.parametrize("given", [*NO_NUMBERS, Decimal(1), None], ids=str)
def test_a_feature_of_another_type_is_refused_by_name(given: Any) -> None:
    with pytest.raises(TypeError, match=r"features\['serial'\]: read .*accepted: a number"):
        score_request("m", {}, features={"serial": given})


@pytest.mark.parametrize("given", [2**63, np.uint64(2**63)], ids=str)
def test_an_integer_beyond_64_bits_is_refused_by_name(given: Any) -> None:
    with pytest.raises(ValueError, match=r"features\['n'\]: read .*accepted: a 64-bit integer"):
        score_request("m", {}, features={"n": given})


@pytest.mark.parametrize("given", [*NO_NUMBERS, "1", 1j], ids=str)
def test_a_label_that_is_no_number_is_refused_by_name(given: Any) -> None:
    with pytest.raises(TypeError, match=r"labels\['r'\]: read .*accepted: a number"):
        outcomes_request("m", {"r": given})


def test_a_label_beyond_the_floats_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"labels\['r'\]: read int 1000.*accepted: a 64-bit float"):
        outcomes_request("m", {"r": 10**400})


@pytest.mark.parametrize("given", [1, True, np.int64(1), np.bool_(True), Decimal(1)], ids=str)
def test_a_number_of_any_type_is_a_label(given: Any) -> None:
    (outcome,) = outcomes_request("m", {"r": given}).outcomes

    assert outcome.label == 1.0


@pytest.mark.parametrize("given", [17, 17.0, SERIAL, np.int64(17), b"17", None], ids=str)
def test_an_id_that_is_not_a_string_is_refused_by_name(given: Any) -> None:
    with pytest.raises(TypeError, match=r"entities\['user'\]: read .*accepted: a string$"):
        score_request("m", {"user": given})
    with pytest.raises(TypeError, match="candidates: read"):
        batch_request("m", [given], candidate_entity="item")
    with pytest.raises(TypeError, match="request id in labels: read"):
        outcomes_request("m", {given: 1.0})
    if given is not None:
        with pytest.raises(TypeError, match="unit_key: read"):
            score_request("m", {}, unit_key=given)
        with pytest.raises(TypeError, match="request_id: read"):
            score_request("m", {}, request_id=given)


@pytest.mark.parametrize("given", ["\ud83d", "a\udc80b"], ids=ascii)
def test_half_of_a_surrogate_pair_is_refused_by_the_name_of_its_field(given: str) -> None:
    for ask, named in (
        (lambda: score_request("m", {"user": given}), r"entities\['user'\]"),
        (lambda: score_request("m", {}, features={"city": given}), r"features\['city'\]"),
        (lambda: score_request("m", {}, features={given: 1}), "name in features"),
        (lambda: score_request("m", {}, unit_key=given), "unit_key"),
        (lambda: batch_request("m", [given], candidate_entity="item"), "candidates"),
        (lambda: outcomes_request("m", {given: 1.0}), "request id in labels"),
    ):
        with pytest.raises(ValueError, match=f"^{named}: read str .*accepted: text without lone"):
            ask()


@pytest.mark.parametrize("given", ["😀", "\x00", "ﬁ", ""], ids=ascii)
def test_any_unicode_is_sent_as_it_is(given: str) -> None:
    assert score_request("m", {}, features={"city": given}).features["city"].text == given
