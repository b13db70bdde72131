"""The kinds of failures."""

import pytest

from understudy.domain.errors import (
    FailureKind,
    Fault,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    UnderstudyError,
    failure_kind_of,
)
from understudy.runtime.grpc_errors import status_of


class ScorerIsHungError(UnavailableError):
    pass


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotFoundError("model", "fraud"), FailureKind.NOT_FOUND),
        (ScorerIsHungError("scorer", "it is hung"), FailureKind.UNAVAILABLE),
        (ZeroDivisionError(), FailureKind.INTERNAL),
    ],
)
def test_a_failure_is_of_the_kind_of_its_nearest_class(error: Exception, kind: FailureKind) -> None:
    assert failure_kind_of(error) is kind


def test_errors_that_end_a_call_have_a_kind_of_their_own_as_they_have_a_status() -> None:
    classes = UnderstudyError.__subclasses__()
    errors = [
        each.__new__(each) for each in classes if each.__module__ == UnderstudyError.__module__
    ]

    pairs = {(failure_kind_of(each), status_of(each)) for each in errors}

    assert {kind for kind, _ in pairs} == set(FailureKind)
    assert len({status for _, status in pairs}) == len(pairs) == len(FailureKind)


def test_a_reason_of_a_library_is_shown_to_its_point_and_a_value_in_part() -> None:
    reason = "Load model from model.onnx failed: " + "so it is, and " * 20 + "here is the point"

    text = str(InvalidInputError([Fault("model.onnx", reason, "a model that loads")]))
    of_value = str(InvalidInputError.of("model", read="x" * 1_000, accepted="a name"))
    endless = str(InvalidInputError([Fault("model.onnx", "x" * 10_000, "a model that loads")]))

    assert "here is the point" in text
    assert len(of_value) < 150
    assert len(endless) < 500
