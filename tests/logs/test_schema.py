"""The schema of the logs: values come back bit for bit, and a missing row has a number."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.logs.builders import AT_US, outcome_batch, score_batch, shadow_batch
from understudy.domain.logged_features import (
    NO_RECORD_MS,
    FeatureList,
    ListedFeatures,
    LoggedFeatures,
    Part,
)
from understudy.domain.logged_ids import IdForm, LoggedIds, buckets_of
from understudy.logs.batches import (
    LogBatch,
    OutcomeBatchLog,
    ScoreBatchLog,
    ShadowBatchLog,
    ShadowStatus,
)
from understudy.logs.log_queue import LogQueue
from understudy.logs.offered_rows import CountsInMemory
from understudy.logs.reader import open_logs
from understudy.logs.schema import LogKind
from understudy.logs.writer import LogWriter

KIND_OF: dict[type[LogBatch], LogKind] = {
    ScoreBatchLog: LogKind.SCORE,
    ShadowBatchLog: LogKind.SHADOW,
    OutcomeBatchLog: LogKind.OUTCOMES,
}
DTYPES = {
    FeatureList.FLOATS: "<f4",
    FeatureList.DOUBLES: "<f8",
    FeatureList.INT64S: "<i8",
    FeatureList.TEXTS: "O",
}


@st.composite
def features(draw: st.DrawFn, rows: int) -> LoggedFeatures:
    """Draw values of any bits, NaN with payloads and minus zero among them."""
    lists: list[tuple[FeatureList, tuple[str, ...]]] = []
    arrays: list[NDArray[Any]] = []
    for each, dtype in DTYPES.items():
        width = draw(st.integers(0, 3))
        if not width:
            continue
        lists.append((each, tuple(f"{each.value}{place}" for place in range(width))))
        if dtype == "O":
            texts = draw(st.lists(st.text(), min_size=rows * width, max_size=rows * width))
            encoded = [text.encode("utf-8", "replace") for text in texts]
            arrays.append(np.array(encoded, dtype=object).reshape(rows, width))
        else:
            size_bytes = rows * width * np.dtype(dtype).itemsize
            bits = draw(st.binary(min_size=size_bytes, max_size=size_bytes))
            arrays.append(np.frombuffer(bits, dtype=dtype).reshape(rows, width))
    names = tuple(name for _, of_list in lists for name in of_list)
    times = np.array(
        draw(st.lists(st.sampled_from([NO_RECORD_MS, 5, 900]), min_size=rows, max_size=rows))
    )
    parts = tuple((Part(number),) for number in range(len(lists)))
    listed = ListedFeatures(names, tuple(lists), parts, ("view@1",))
    return LoggedFeatures(listed, tuple(arrays), times.reshape(rows, 1), 1000)


@given(data=st.data(), sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_values_of_every_type_come_back_bit_for_bit_whatever_lies_beside_them(
    data: st.DataObject, sizes: list[int]
) -> None:
    given_values = [data.draw(features(rows)) for rows in sizes]
    with TemporaryDirectory() as folder:
        with LogWriter(Path(folder)) as writer:
            for number, (rows, each) in enumerate(zip(sizes, given_values, strict=True)):
                assert writer.offer(score_batch(rows, version=number + 1, width=0, features=each))
        table = pq.read_table(Path(folder) / "score").sort_by("writer_sequence")

    assert table["writer_sequence"].to_pylist() == list(range(1, sum(sizes) + 1))
    for number, each in enumerate(given_values, start=1):
        of_version = table.filter(np.array(table["version"]) == number)
        for column, values in zip(dict(each.listed.lists), each.tensors, strict=True):
            found = of_version[column.value].combine_chunks().flatten()
            if column is FeatureList.TEXTS:
                assert [text.encode() for text in found.to_pylist()] == values.ravel().tolist()
            else:
                assert found.to_numpy().tobytes() == values.tobytes()
        ages = of_version["ages_ms"].to_pylist()
        assert ages == [
            [None if at == NO_RECORD_MS else 1000 - at] for (at,) in each.event_times_ms.tolist()
        ]


def test_a_stranger_finds_the_names_of_the_elements_in_the_file(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        assert writer.offer(score_batch(1, width=2))
    (file,) = tmp_path.rglob("*.parquet")

    with duckdb.connect() as connection:  # noqa: TID251 - as a stranger would
        ((stated,),) = connection.sql(
            f"SELECT decode(value) FROM parquet_kv_metadata('{file}') WHERE decode(key) = 'elements'"  # noqa: S608 - ours
        ).fetchall()

    names = ["view@1:f0", "view@1:f1"]
    assert json.loads(stated) == {"statuses": names, "ages_ms": ["view@1"], "float_features": names}


def test_a_text_that_is_not_utf_8_costs_no_row(tmp_path: Path) -> None:
    listed = ListedFeatures(("t",), ((FeatureList.TEXTS, ("t",)),), ((Part(0),),))
    texts = np.array([[b"fine"], [b"\xff!"]], dtype=object)
    with LogWriter(tmp_path) as writer:
        values = LoggedFeatures(listed, (texts,), np.zeros((2, 0), np.int64), AT_US // 1000)
        assert writer.offer(score_batch(2, width=0, features=values))

    with open_logs(tmp_path) as reader:
        rows = reader.rows("SELECT text_features, ages_ms FROM score ORDER BY request_id")
    assert [row["text_features"] for row in rows] == [["fine"], [r"\xff!"]]
    assert [row["ages_ms"] for row in rows] == [None, None]


@given(
    offers=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(list(LogKind)), st.integers(1, 5)),
        max_size=20,
    )
)
def test_every_offered_row_has_a_number_of_its_own_dropped_or_not(
    offers: list[tuple[str, LogKind, int]],
) -> None:
    queue = LogQueue(
        max_rows=20, max_bytes=1 << 30, wake=lambda: None, counts=CountsInMemory("a test")
    )
    expected: dict[tuple[LogKind, str], list[int]] = {}
    offered: dict[tuple[LogKind, str], int] = {}
    for model, kind, rows in offers:
        first = offered.get((kind, model), 0) + 1
        offered[kind, model] = first + rows - 1
        if queue.offer(_batch(kind, model, rows)):
            expected.setdefault((kind, model), []).extend(range(first, first + rows))

    found: dict[tuple[LogKind, str], list[int]] = {}
    for batch, first in queue.take():
        key = (KIND_OF[type(batch)], batch.model)
        found.setdefault(key, []).extend(range(first, first + batch.rows))

    assert found == expected


def test_rows_say_who_answered_and_why_so(tmp_path: Path) -> None:
    batch = score_batch(
        2,
        thresholds=np.array([0.5, np.nan]),
        reasons=[(), ("scorer_unavailable", "fallback_version")],
        outputs=(("odds", np.array([[0.25, 0.75], [0.5, 0.5]])),),
        rules=["", "large"],
        deployment_digest="d" * 64,
        lineage="of-a-registry",
        sequence=12,
    )
    lost = shadow_batch(
        [0.4],
        version=8,
        arm="challenger",
        status=ShadowStatus.QUEUE_FULL,
        shadow_scores=None,
        inclusion_probability=0.1,
    )
    with LogWriter(tmp_path) as writer:
        assert writer.offer(batch)
        assert writer.offer(lost)

    with open_logs(tmp_path) as reader:
        first, second = reader.rows("SELECT * FROM score ORDER BY request_id")
        (shadow,) = reader.rows("SELECT * FROM shadow")
    assert (first["threshold"], second["threshold"]) == (0.5, None)
    assert (first["reasons"], second["reasons"]) == (
        None,
        ["scorer_unavailable", "fallback_version"],
    )
    assert first["outputs"] == [{"name": "odds", "values": [0.25, 0.75]}]
    assert second["outputs"] is None
    state = ("deployment_digest", "registry_lineage", "registry_sequence")
    assert [first[name] for name in state] == ["d" * 64, "of-a-registry", 12]
    answer = ("version", "arm", "score", "shadow_score", "status", "inclusion_probability")
    assert [shadow[name] for name in answer] == [8, "challenger", 0.4, None, "queue_full", 0.1]


def test_rows_of_a_unit_share_their_bucket_in_all_logs(tmp_path: Path) -> None:
    ids = LoggedIds(IdForm.KEYED, b"sixteen bytes...")
    with LogWriter(tmp_path, ids=ids) as writer:
        writer.offer(score_batch(3, entity_ids=["a", "b", "a"]))
        writer.offer(shadow_batch([0.1, 0.2], entity_ids=["b", "a"]))

    with open_logs(tmp_path) as reader:
        found = reader.rows(
            "SELECT DISTINCT unit_key, bucket FROM score UNION SELECT unit_key, bucket FROM shadow"
        )
    assert len(found) == 2
    assert all(row["bucket"] == buckets_of([row["unit_key"]], ids.form)[0] for row in found)


def _batch(kind: LogKind, model: str, rows: int) -> LogBatch:
    match kind:
        case LogKind.SCORE:
            return score_batch(rows, model=model)
        case LogKind.SHADOW:
            return shadow_batch([0.5] * rows, model=model)
        case LogKind.OUTCOMES:
            return outcome_batch([1.0] * rows, model=model)
