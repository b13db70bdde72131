"""gRPC's frames and headers: any bytes are messages within the limit, or a refusal."""

import gzip
import string
import zlib
from collections.abc import Callable
from urllib.parse import unquote

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.runtime.front.frames import (
    HEADER_BYTES,
    Packed,
    Refusal,
    Split,
    decoded_metadata,
    encoded_message,
    encoded_metadata,
    frame,
    joined_frames,
    only_message,
    refusal_of_rest,
    split_frames,
    timeout_s,
    unpacked,
)

MOST = 64
GZIPPED = gzip.compress(b"abc", mtime=0)  # the same in every process of a run
MESSAGES = st.lists(st.binary(max_size=MOST), max_size=6)
PACKED: dict[bytes, Callable[[bytes], bytes]] = {b"gzip": gzip.compress, b"deflate": zlib.compress}


def compressed(content: bytes) -> bytes:
    return b"\x01" + frame(content)[1:]


def opened(message: bytes | Packed, encoding: bytes) -> bytes | Refusal:
    return unpacked(message, encoding, most_bytes=MOST) if isinstance(message, Packed) else message


def read_first(body: bytes, encoding: bytes) -> bytes | Refusal:
    """Return the first message of `body`, or its refusal."""
    split = split_frames(body, most_bytes=MOST)
    return split if isinstance(split, Refusal) else opened(split.messages[0], encoding)


def read_in_parts(body: bytes, cuts: list[int]) -> list[bytes] | Refusal:
    """Read `body` in parts, only once enough is there."""
    ends = sorted({min(cut, len(body)) for cut in cuts} | {len(body)})
    messages: list[bytes] = []
    received, needed, at = b"", HEADER_BYTES, 0
    for end in ends:
        received += body[at:end]
        at = end
        if len(received) >= needed:
            split = split_frames(received, most_bytes=MOST)
            if isinstance(split, Refusal):
                return split
            for message in split.messages:
                content = opened(message, b"gzip")
                if isinstance(content, Refusal):
                    return content
                messages.append(content)
            received, needed = split.rest, split.needed_bytes
    return refusal_of_rest(received) or messages


@given(MESSAGES, st.lists(st.integers(0, 500)))
def test_messages_are_the_same_in_whatever_parts_they_arrive(
    messages: list[bytes], cuts: list[int]
) -> None:
    assert read_in_parts(joined_frames(messages), cuts) == messages


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_any_body_is_messages_within_the_limit_or_a_refusal(body: bytes, cuts: list[int]) -> None:
    found = read_in_parts(body, cuts)

    assert isinstance(found, Refusal) or all(len(message) <= MOST for message in found)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_the_parts_do_not_decide_on_messages_or_refusal(body: bytes, cuts: list[int]) -> None:
    def kind(found: list[bytes] | Refusal) -> object:
        return found.code if isinstance(found, Refusal) else found

    assert kind(read_in_parts(body, cuts)) == kind(read_in_parts(body, []))


@given(st.binary(max_size=200))
def test_the_short_way_reads_as_the_long_one(body: bytes) -> None:
    message = only_message(body)
    split = split_frames(body, most_bytes=200)

    if message is not None:
        assert split == Split((message,), b"", HEADER_BYTES)
    elif isinstance(split, Split):
        plain = [each for each in split.messages if isinstance(each, bytes)]
        assert len(plain) != 1 or len(split.messages) > 1 or split.rest


@pytest.mark.parametrize("encoding", PACKED)
@given(content=st.binary(max_size=4 * MOST) | st.integers(0, 9 * MOST).map(bytes))
def test_compressed_messages_have_the_limit_of_others(encoding: bytes, content: bytes) -> None:
    packed = PACKED[encoding](content)
    found = read_first(compressed(packed), encoding)

    if len(content) <= MOST and len(packed) <= MOST:
        assert found == content
    else:
        assert isinstance(found, Refusal)
        assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (compressed(b"abc"), b"identity", "grpc-encoding names no compression"),
        (compressed(b"abc"), b"gzip", "accepted: gzip"),
        (compressed(GZIPPED[:-3]), b"gzip", "ends early"),
        (compressed(GZIPPED + b"x"), b"gzip", "bytes after its end"),
        (compressed(GZIPPED * 2), b"gzip", "bytes after its end"),
        (b"\x02" + frame(b"abc")[1:], b"identity", "flag of a frame: read 2"),
        (b"\xff\x00\x00\x00\x03", b"identity", "flag of a frame: read 255"),
    ],
)
def test_a_faulty_frame_is_internal_and_says_why(body: bytes, encoding: bytes, why: str) -> None:
    found = read_first(body, encoding)

    assert isinstance(found, Refusal)
    assert found.code is grpc.StatusCode.INTERNAL
    assert why in found.why


def test_a_length_above_the_limit_is_refused_before_its_message_arrives() -> None:
    found = split_frames(b"\x00\xff\xff\xff\xff", most_bytes=MOST)

    assert found == Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "message: read 4294967295 bytes; accepted: at most 64 bytes",
    )


@given(st.text())
def test_a_message_for_people_is_ascii_and_comes_back(text: str) -> None:
    encoded = encoded_message(text)

    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert unquote(encoded.decode()) == text.encode(errors="replace").decode()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(b"2H", 7200.0), (b"3M", 180.0), (b"4S", 4.0), (b"50m", 0.05), (b"6u", 6e-6), (b"0n", 0.0)],
)
def test_a_timeout_has_a_unit(header: bytes, seconds: float) -> None:
    assert timeout_s(header) == pytest.approx(seconds)


@given(st.binary(max_size=12))
def test_a_malformed_timeout_is_none(header: bytes) -> None:
    digits = header[:-1]
    is_valid = header[-1:] in tuple(b"%c" % unit for unit in b"HMSmun") and (
        1 <= len(digits) <= 8 and all(chr(digit) in string.digits for digit in digits)
    )

    assert (timeout_s(header) is not None) == is_valid


@given(st.binary())
def test_binary_metadata_comes_back(value: bytes) -> None:
    name, header = encoded_metadata("facts-bin", value)

    assert decoded_metadata(name, header) == ("facts-bin", value)
    assert decoded_metadata(name, header + b"=" * (-len(header) % 4)) == ("facts-bin", value)


@pytest.mark.parametrize(("key", "value"), [("Upper", "a"), ("", "a"), ("a b", "a"), ("a", "a\n")])
def test_metadata_that_grpc_does_not_permit_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError, match="accepted"):
        encoded_metadata(key, value)


@given(st.binary(), st.binary())
def test_any_header_is_metadata_or_none(name: bytes, value: bytes) -> None:
    found = decoded_metadata(name, value)

    assert found is None or isinstance(found[1], bytes) == name.endswith(b"-bin")
