"""Values are counted before a message is parsed; protobuf itself is the reference."""

from collections import Counter
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.errors import InvalidInputError
from understudy.domain.wire_counts import UNREADABLE, TooLong, TooMany, WireBounds, first_excess
from understudy.oip import inference_pb2 as oip
from understudy.registry.v1 import registry_pb2
from understudy.runtime.parsing import MOST_TEXT_BYTES, UNCOUNTED_BYTES, RequestForm
from understudy.runtime.protobuf_bytes import length_delimited, varint
from understudy.scoring.v1 import scoring_pb2 as pb

MANY = 1 << 30
BATCH = RequestForm(pb.ScoreBatchRequest, most_fields=MANY).bounds
INFER = RequestForm(oip.ModelInferRequest, most_fields=MANY).bounds

TEXTS = st.text(max_size=4)
VALUES = st.builds(pb.FeatureValue, number=st.floats(width=32)) | st.builds(
    pb.FeatureValue, text=st.text(max_size=200)
)
FEATURES = st.dictionaries(TEXTS, VALUES, max_size=4)
BATCHES = st.builds(
    pb.ScoreBatchRequest,
    model=TEXTS,
    entities=st.dictionaries(TEXTS, TEXTS, max_size=4),
    features=FEATURES,
    candidates=st.lists(st.builds(pb.Candidate, id=TEXTS, features=FEATURES), max_size=5),
    top_k=st.integers(0, 2**32 - 1),
)
INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5)
CONTENTS = st.builds(
    oip.InferTensorContents,
    bool_contents=st.lists(st.booleans(), max_size=5),
    int64_contents=INTEGERS,
    fp32_contents=st.lists(st.floats(width=32), max_size=5),
    fp64_contents=st.lists(st.floats(), max_size=5),
    bytes_contents=st.lists(st.binary(max_size=3), max_size=5),
)
TENSORS = st.builds(oip.ModelInferRequest.InferInputTensor, shape=INTEGERS, contents=CONTENTS)
INFERS = st.builds(oip.ModelInferRequest, inputs=st.lists(TENSORS, max_size=3))


def counts_in(message: Any, prefix: str = "") -> Counter[str]:
    """Return the number of entries of each repeated or map field, by path."""
    counts: Counter[str] = Counter()
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        entries = list(value) if field.is_repeated else [value]
        if field.is_repeated:
            counts[path] += len(entries)
        if field.message_type is not None and not is_map:
            for entry in entries:
                counts += counts_in(entry, f"{path}.")
    return counts


def with_bound(bounds: WireBounds, path: str, most: int) -> WireBounds:
    each = tuple(most if name == path else MANY for name in bounds.paths)
    return WireBounds(bounds.paths, each, bounds.fields, bounds.most_fields)


def assert_bounds_decide_as_parsing_does(bounds: WireBounds, message: Any) -> None:
    counts, received = counts_in(message), message.SerializeToString()
    for path, count in counts.items():
        assert first_excess(received, with_bound(bounds, path, count)) is None
        assert first_excess(received, with_bound(bounds, path, count - 1)) == TooMany(
            path, count - 1
        )


@given(BATCHES)
def test_entries_of_maps_and_of_lists_within_lists_are_counted_as_parsing_does(
    message: pb.ScoreBatchRequest,
) -> None:
    assert_bounds_decide_as_parsing_does(BATCH, message)


@given(INFERS)
def test_packed_numbers_are_counted_as_parsing_does(message: oip.ModelInferRequest) -> None:
    assert_bounds_decide_as_parsing_does(INFER, message)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9))
def test_numbers_that_are_not_packed_are_counted(shape: list[int]) -> None:
    tag = bytes([3 << 3])
    packed = oip.ModelInferRequest.InferInputTensor(shape=shape).SerializeToString()
    size = len(packed) - 2
    numbers = [
        oip.ModelInferRequest.InferInputTensor(shape=[each]).SerializeToString()[2:]
        for each in shape
    ]
    tensor = b"".join(tag + number for number in numbers)
    message = bytes([5 << 3 | 2, len(tensor)]) + tensor

    assert size == sum(map(len, numbers))
    assert counts_in(oip.ModelInferRequest.FromString(message))["inputs.shape"] == len(shape)
    assert first_excess(message, with_bound(INFER, "inputs.shape", len(shape))) is None
    assert first_excess(message, with_bound(INFER, "inputs.shape", len(shape) - 1)) is not None


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(BATCHES).SerializeToString() or b"\x00")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(content) - 1))
        content[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
        if not content:
            return b""
    return bytes(content)


@given(damaged() | st.binary(max_size=60))
def test_a_message_that_protobuf_parses_is_readable_unless_it_has_groups(received: bytes) -> None:
    try:
        message = pb.ScoreBatchRequest.FromString(received)
    except DecodeError:
        return
    message.DiscardUnknownFields()
    has_unknown = len(message.SerializeToString()) < len(received)

    assert has_unknown or first_excess(received, BATCH) is None


@pytest.mark.parametrize(
    "received",
    [b"\x0a", b"\x0a\x05abc", b"\x0a" + b"\xff" * 11, b"\x0b\x0c", b"\x0f", b"\x09\x00", b"\x80"],
)
def test_bytes_that_end_too_early_or_contradict_each_other_are_unreadable(received: bytes) -> None:
    assert first_excess(received, BATCH) is UNREADABLE


def test_fields_without_a_bound_are_bounded_together() -> None:
    form = RequestForm(pb.ScoreRequest, most_fields=UNCOUNTED_BYTES)
    repeated_name = pb.ScoreRequest(model="m").SerializeToString() * UNCOUNTED_BYTES
    form.check_counts(repeated_name)

    with pytest.raises(InvalidInputError, match="all fields: read more than 16384"):
        form.check_counts(repeated_name + b"\x0a\x00")


def test_two_million_empty_entries_are_refused_by_name_before_they_are_parsed() -> None:
    form = RequestForm(pb.ScoreRequest, {"outputs": 64})

    with pytest.raises(InvalidInputError, match="outputs: read more than 64; accepted: at most 64"):
        form.read(b"\x3a\x00" * 2_000_000)


def test_a_bound_on_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="read \\['outcomes'\\]"):
        RequestForm(pb.ScoreRequest, {"outcomes": 64})


@pytest.mark.parametrize("path", ["model", "outputs", "entities.key", "features.value.text"])
def test_a_text_is_refused_by_its_size_at_every_depth_before_it_is_parsed(path: str) -> None:
    too_long, is_no_text = (
        MOST_TEXT_BYTES + 1,
        b"\xff",
    )  # parsing would refuse it for another reason
    received = wrapped(path, is_no_text * too_long)
    most = RequestForm(pb.ScoreRequest).bounds

    assert first_excess(received, most) == TooLong(path, too_long, MOST_TEXT_BYTES)
    assert first_excess(wrapped(path, b"x" * MOST_TEXT_BYTES), most) is None


def test_an_unknown_field_is_refused_by_its_size_and_bytes_are_not() -> None:
    unknown = b"\xc2\x3e"  # field 1,000, with a length
    too_long, most = MOST_TEXT_BYTES + 1, RequestForm(pb.ScoreRequest).bounds
    chunk = registry_pb2.CheckVersionRequest(chunk=b"x" * too_long).SerializeToString()

    assert first_excess(unknown + varint(too_long) + b"x" * too_long, most) == TooLong(
        "field 1000", too_long, MOST_TEXT_BYTES
    )
    assert first_excess(unknown + varint(9) + b"x" * 9, most) is None
    assert first_excess(chunk, RequestForm(registry_pb2.CheckVersionRequest).bounds) is None


def test_a_long_run_of_packed_numbers_is_refused_by_its_size() -> None:
    """Numbers have 10 bytes at most; counting those in 4 MB copied them twice."""
    contents = oip.InferTensorContents(int64_contents=[-1] * 101)
    tensor = oip.ModelInferRequest.InferInputTensor(contents=contents)
    message = oip.ModelInferRequest(inputs=[tensor]).SerializeToString()
    path = "inputs.contents.int64_contents"

    assert first_excess(message, with_bound(INFER, path, 101)) is None
    assert first_excess(message, with_bound(INFER, path, 100)) == TooMany(path, 100)


def test_a_refused_text_is_named_with_its_size_and_is_not_shown() -> None:
    form = RequestForm(registry_pb2.ChangeDeploymentRequest)
    request = registry_pb2.ChangeDeploymentRequest(reason="x" * 100_000)

    with pytest.raises(InvalidInputError) as refused:
        form.read(request.SerializeToString())

    assert str(refused.value) == "reason: read 100000 bytes; accepted: at most 65536"


def test_a_text_may_have_a_bound_of_its_own() -> None:
    request = pb.ScoreRequest(features={"note": pb.FeatureValue(text="x" * 100_000)})
    received = request.SerializeToString()

    form = RequestForm(pb.ScoreRequest, most_bytes={"features.value.text": 100_000})

    assert form.read(received) == request


def test_a_bound_on_a_text_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="read \\['decision_threshold'\\]"):
        RequestForm(pb.ScoreRequest, most_bytes={"decision_threshold": 64})


def wrapped(path: str, text: bytes) -> bytes:
    """Return a ScoreRequest with these bytes as the text at `path`."""
    kinds: list[int] = []
    kind: Any = pb.ScoreRequest.DESCRIPTOR
    for name in path.split("."):
        field = kind.fields_by_name[name]
        kinds.append(field.number)
        kind = field.message_type
    for number in reversed(kinds):
        text = length_delimited(number, len(text)) + text
    return text
