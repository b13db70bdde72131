"""Frames: the same messages, in whatever pieces their bytes arrive."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.decisions.fleet import Place
from scorer.host.addresses import UNIX, Addresses
from understudy.domain.errors import CorruptedError
from understudy.domain.versions import VersionRef
from understudy.inference.frames import GREETING, LAST_FRAME, FrameReader, frame, frames_path
from understudy.runtime.transport.sockets import socket_of

MOST = 64
MESSAGES = st.lists(st.binary(max_size=MOST), max_size=8)


def read_all(reader: FrameReader, pieces: Sequence[bytes]) -> list[bytes]:
    found: list[bytes] = []
    for piece in pieces:
        reader.feed(piece)
        while (message := reader.next_message()) is not None:
            found.append(message)
    return found


def cut(whole: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({*(place % (len(whole) + 1) for place in places), len(whole)})
    return [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(MESSAGES, st.lists(st.integers(0, 2_000), max_size=12))
def test_any_pieces_give_the_same_messages(messages: list[bytes], places: list[int]) -> None:
    whole = GREETING + b"".join(map(frame, messages))
    reader = FrameReader(MOST)

    assert read_all(reader, cut(whole, places)) == messages
    assert not reader.has_more


@given(MESSAGES.filter(bool), st.integers(1, 200))
def test_a_cut_end_gives_the_messages_before_it_and_waits(
    messages: list[bytes], missing: int
) -> None:
    whole = GREETING + b"".join(map(frame, messages))
    reader = FrameReader(MOST)

    found = read_all(reader, [whole[:-missing]])

    assert found == messages[: len(found)]
    assert len(found) < len(messages)
    assert read_all(reader, [whole[-missing:]]) == messages[len(found) :]


@given(st.lists(st.binary(max_size=MOST), max_size=4))
def test_a_message_in_parts_has_the_frame_of_the_whole(parts: list[bytes]) -> None:
    assert frame(*parts) == frame(b"".join(parts))


@given(st.binary(min_size=1, max_size=40).filter(lambda sent: not GREETING.startswith(sent[:8])))
def test_another_greeting_is_refused_with_its_first_wrong_byte(sent: bytes) -> None:
    reader = FrameReader(MOST)

    with pytest.raises(CorruptedError, match="greeting"):
        read_all(reader, [bytes([byte]) for byte in sent])


def test_another_version_is_refused() -> None:
    reader = FrameReader(MOST)

    with pytest.raises(CorruptedError, match="greeting"):
        read_all(reader, [GREETING[:-1] + bytes([GREETING[-1] + 1])])


@given(st.integers(MOST + 1, 2**32 - 1))
def test_a_longer_message_is_refused_by_its_length_alone(message_bytes: int) -> None:
    reader = FrameReader(MOST)
    reader.feed(GREETING + message_bytes.to_bytes(4, "big"))

    with pytest.raises(CorruptedError, match="at most 64"):
        reader.next_message()


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_any_bytes_are_messages_within_the_bound_or_refused(pieces: list[bytes]) -> None:
    reader = FrameReader(MOST)
    try:
        found = read_all(reader, [GREETING, *pieces])
    except CorruptedError:
        return

    assert all(len(message) <= MOST for message in found)


def test_the_last_frame_is_empty() -> None:
    assert frame() == frame(b"") == LAST_FRAME


@pytest.mark.parametrize("folder_bytes", range(30, 75))
def test_the_socket_of_frames_is_never_too_long_for_the_kernel(folder_bytes: int) -> None:
    with TemporaryDirectory(dir="/tmp") as base:
        folder = Path(base) / ("d" * (folder_bytes - len(base)))
        for model in ("m", "m" * 34, "m" * 60):
            address = Addresses(UNIX, folder).address_of(Place(VersionRef(model, 1), 0))
            path = socket_of(address)

            assert path is not None
            assert len(str(frames_path(path))) <= 107


def test_the_socket_of_frames_is_beside_that_of_grpc() -> None:
    assert frames_path(Path("/run/fraud@1.0.sock")) == Path("/run/fraud@1.0.frames.sock")
    assert frames_path(Path("/run/scorer")) == Path("/run/scorer.frames.sock")
