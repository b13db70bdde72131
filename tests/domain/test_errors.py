"""What kind of failure an error is."""

import pytest

from understudy.domain.errors import (
    FailureKind,
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


def test_every_error_of_ours_has_a_kind_of_its_own_as_it_has_a_status() -> None:
    classes = UnderstudyError.__subclasses__()
    ours = [each for each in classes if each.__module__ == "understudy.domain.errors"]
    errors = [each.__new__(each) for each in ours]

    kinds = [failure_kind_of(each) for each in errors]

    assert len(set(kinds)) == len(ours) == len({status_of(each) for each in errors})
    assert {FailureKind.INTERNAL, *kinds} == set(FailureKind)
