"""Failed calls carry their facts for programs, within the limits of every client."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.errors import (
    DeadlinePassedError,
    FailureKind,
    Fault,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    UnderstudyError,
)
from understudy.runtime.error_details import DETAILS_KEY, DOMAIN
from understudy.runtime.grpc_errors import abort_with, error_of_call

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
MOST_TRAILER_BYTES = 8 * 1024  # grpc-java's default, and the limit from which grpc-core may refuse
ENTRY_BYTES = 32  # that HTTP/2 counts for each header
PLAIN = [byte for byte in range(0x20, 0x7F) if chr(byte) != "%"]  # the others are sent as %XX
any_character = st.characters(exclude_categories=())  # lone surrogates too
texts = st.builds(lambda character, count: character * count, any_character, st.integers(0, 600))


class EndedCall(grpc.RpcError):
    """A call as its caller sees it."""

    def __init__(self, error: Exception) -> None:
        self.status: Any = None
        self.text = ""
        self.trailers: tuple[tuple[str, str | bytes], ...] = ()
        context: Any = SimpleNamespace(abort=self._keep)
        with pytest.raises(StopIteration):  # it ends without an await
            abort_with(context, error, rpc="Score").send(None)

    async def _keep(self, status: Any, text: str, trailers: Any) -> None:
        self.status, self.text, self.trailers = status, text, trailers

    def code(self) -> Any:
        return self.status

    def details(self) -> str:
        return self.text

    def trailing_metadata(self) -> Any:
        return self.trailers

    @property
    def rich(self) -> status_pb2.Status:
        return status_pb2.Status.FromString(dict(self.trailers)[DETAILS_KEY])

    def detail(self, kind: Any) -> Any:
        found = kind()
        assert any(each.Unpack(found) for each in self.rich.details), f"no {kind.__name__}"
        return found


@given(
    st.one_of(
        st.builds(
            lambda faults, times: InvalidInputError(faults * times),
            st.lists(st.builds(Fault, texts, texts, texts), min_size=1, max_size=3),
            st.integers(1, 30),
        ),
        st.builds(NotFoundError, texts, texts),
        st.builds(UnavailableError, texts, texts),
        st.builds(OverloadedError, texts, retry_after_ms=st.integers(0, 10**9)),
        texts.map(lambda text: UnderstudyError(text * 40)),
    )
)
def test_the_trailers_of_any_failure_are_within_the_limits_of_clients(error: Exception) -> None:
    call = EndedCall(error)

    sizes = [
        ENTRY_BYTES + len("grpc-message") + len(quote(call.text, safe="".join(map(chr, PLAIN))))
    ]
    for key, value in call.trailers:
        body = len(value) if isinstance(value, str) else -(-len(value) // 3) * 4
        sizes.append(ENTRY_BYTES + len(key) + body)
    assert sum(sizes) < MOST_TRAILER_BYTES - 500  # the rest is for gRPC's own and for proxies
    assert (call.rich.code, call.rich.message) == (call.status.value[0], call.text), (
        "as the libraries that read details demand"
    )


@given(st.lists(st.builds(Fault, *[st.text(max_size=40)] * 2, st.text(max_size=40)), max_size=5))
def test_a_caller_reads_the_faults_as_they_were_found(faults: list[Fault]) -> None:
    call = EndedCall(InvalidInputError(faults))

    error = error_of_call(call, dependency="router")

    assert isinstance(error, InvalidInputError)
    assert [each.field for each in error.faults] == [each.field for each in faults]
    if not any("; accepted: " in f"{each.read}{each.accepted}" for each in faults):
        assert error.faults == tuple(faults)


@pytest.mark.parametrize(
    ("error", "reason", "facts"),
    [
        (NotFoundError("model", "fraud"), "NOT_FOUND", {"kind": "model", "name": "fraud"}),
        (DeadlinePassedError("scoring"), "DEADLINE_PASSED", {"stage": "scoring"}),
        (
            UnavailableError("scorer", "gone"),
            "UNAVAILABLE",
            {"dependency": "scorer", "why": "gone"},
        ),
        (KeyError("secret"), "INTERNAL", {}),
    ],
)
def test_the_reason_and_the_facts_of_a_failure_are_separate_from_its_text(
    error: Exception, reason: str, facts: dict[str, str]
) -> None:
    info = EndedCall(error).detail(error_details_pb2.ErrorInfo)

    assert (info.reason, info.domain, dict(info.metadata)) == (reason, DOMAIN, facts)


def test_a_full_server_says_in_both_ways_when_to_call_again() -> None:
    call = EndedCall(OverloadedError("router", retry_after_ms=1_250))

    assert call.detail(error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 1_250
    assert dict(call.trailers)["grpc-retry-pushback-ms"] == "1250"


def test_details_of_another_server_leave_the_text() -> None:
    call = EndedCall(InvalidInputError.of("a", read=1, accepted="2"))
    call.trailers = ((DETAILS_KEY, b"\x0a\x05abc"),)

    assert str(error_of_call(call, dependency="router")) == "a: read 1; accepted: 2"


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("file", "caf\udce9.onnx"),
        UnavailableError("file", "caf\udce9.onnx"),
        InvalidInputError([Fault("caf\udce9", "caf\udce9", "caf\udce9")]),
    ],
)
def test_a_name_that_is_not_utf_8_reaches_the_caller_escaped(error: Exception) -> None:
    call = EndedCall(error)

    assert "caf\\udce9" in call.details()
    assert call.code() is not grpc.StatusCode.INTERNAL


def test_the_page_lists_every_reason_and_no_other() -> None:
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]

    assert [row[1].strip(" `") for row in rows] == [kind.value.upper() for kind in FailureKind]
