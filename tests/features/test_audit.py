"""Skew between served values and the history, and the freshness of served values."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.features.builders import NOW_S, a_view, floats
from tests.logs.builders import CHAMPION_ONLY, float_features
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.features import (
    Feature,
    FeatureDtype,
    FeatureRef,
    FeatureView,
    ViewKind,
)
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.features.history.audit import AuditReport, audit_faults, audit_features
from understudy.features.history.freshness import feature_shares
from understudy.features.history.served_columns import ScoreLog
from understudy.features.loading.history_files import HistorySource
from understudy.logs.batches import NO_DECISION, ScoreBatchLog
from understudy.logs.writer import LogWriter

USER = a_view("user", (*floats(2), Feature("n", FeatureDtype.INT64, default=4)))
SHOP = a_view("shop", floats(1), entity="shop")
REFS = [
    FeatureRef("user", 1, "f0"),
    FeatureRef("shop", 1, "f0"),
    FeatureRef("user", 1, "n"),
    FeatureRef("user", 1, "f1"),
]
SECRET = b"pepper and nothing but pepper"
KEYED = LoggedIds(IdForm.KEYED, SECRET)
NAN = float("nan")


def _moment(offset_s: float) -> datetime:
    return datetime.fromtimestamp(NOW_S + offset_s, tz=UTC).replace(tzinfo=None)


def _key(entity_id: str, secret: bytes = SECRET) -> str:
    return blake2b(entity_id.encode(), digest_size=16, key=secret).hexdigest()


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, HistorySource]:
    path = tmp_path / "user.parquet"
    pq.write_table(
        pa.table(
            {
                "user": ["a", "a", "b"],
                "event_time": [_moment(0), _moment(10), _moment(0)],
                "f0": [0.1, 0.2, 0.3],
                "f1": [1.0, 2.0, None],
                "n": [1, 2, None],
                "city": ["Z", None, "G"],
            }
        ),
        path,
    )
    return {"user@1": HistorySource(str(path), "user")}


Row = tuple[str, float, list[float], list[int] | None]


def _log(folder: Path, rows: Sequence[Row]) -> ScoreLog:
    path = folder / "log.parquet"
    table: dict[str, Any] = {
        "unit_key": [key for key, _, _, _ in rows],
        "at_utc": pa.array([_moment(at_s) for _, at_s, _, _ in rows], pa.timestamp("us")),
        "features": pa.array([values for _, _, values, _ in rows], pa.list_(pa.float32())),
        "statuses": pa.array([each for _, _, _, each in rows], pa.list_(pa.uint8())),
        "version": [1] * len(rows),
    }
    pq.write_table(pa.table(table), path)
    return ScoreLog(str(path))


def _audit(log: ScoreLog, sources: dict[str, HistorySource], **options: Any) -> AuditReport:
    return audit_features(log, REFS, [USER, SHOP], sources, entity="user", keys=KEYED, **options)


def test_values_served_as_they_were_known_show_no_skew(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    log = _log(
        tmp_path,
        [
            (_key("a"), 9.9, [0.1, 7.0, 1.0, 1.0], None),
            (_key("a"), 10, [0.2, 7.0, 2.0, 2.0], []),
            (_key("b"), 1, [0.3, 7.0, 4.0, NAN], [0, 0, 3, 5]),
            (_key("b"), -1, [NAN, 7.0, 4.0, NAN], [5, 0, 3, 5]),
            (_key("stranger"), 1, [9.0, 9.0, 9.0, 9.0], None),
        ],
    )

    report = _audit(log, sources)

    assert (report.logged_rows, report.matched_rows) == (5, 4)
    assert [each.name for each in report.features] == ["user:f0", "n", "f1"]
    assert [each.compared for each in report.features] == [4, 4, 4]
    assert report.mismatch_rate == 0.0


def test_skew_is_counted_per_feature_with_its_worst_cases(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    log = _log(
        tmp_path,
        [
            (_key("a"), 5, [0.2, 7.0, 1.0, 1.0], None),  # a value from the future
            (_key("a"), 5, [0.1, 7.0, 3.0, NAN], [0, 0, 0, 5]),
            (_key("a"), 5, [8.0, 7.0, 1.0, 50.0], [1, 0, 0, 4]),  # the request supplied 8.0
        ],
    )

    report = _audit(log, sources, worst=1)

    first, count, last = report.features
    assert (first.compared, first.mismatches, first.from_request) == (2, 1, 1)
    assert first.largest_difference == pytest.approx(0.1, rel=1e-5)
    assert (count.mismatches, count.largest_difference) == (1, 2.0)
    (worst,) = count.worst
    assert (worst.key, worst.served, worst.expected, worst.status) == ("a", 3.0, 1.0, "present")
    assert (last.compared, last.mismatches, last.replaced) == (1, 0, 2)
    assert [(each.status, each.values, each.mismatches) for each in last.by_status] == [
        ("present", 1, 0),
        ("last_known", 1, 1),
        ("missing", 1, 1),
    ]
    assert report.mismatch_rate == pytest.approx(2 / 6)
    assert _audit(log, sources, tolerance=1.0).features[1].mismatches == 0


def test_degraded_answers_are_no_skew_and_unknown_is_not_equal(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    honest = (_key("a"), 5, [0.1, 7.0, 1.0, 1.0], None)
    skewed = (_key("a"), 5, [0.1, 7.0, 9.0, 1.0], None)
    degraded = (_key("a"), 5, [NAN, 7.0, 4.0, NAN], [5, 0, 3, 5])
    odd = (_key("a"), 5, [0.1, 7.0, 1.0, 1.0], [0, 0, 77, 0])
    rows = [honest] * 97 + [skewed] * 3 + [degraded] * 8
    limits = {"max_mismatch_rate": 0.03, "max_unknown_rate": 0.0}

    report = _audit(_log(tmp_path, rows), sources)
    strange = _audit(_log(tmp_path, [*rows, odd]), sources)
    away = _audit(_log(tmp_path, [degraded] * 8), sources)

    assert (report.features[1].mismatch_rate, report.features[1].replaced) == (0.03, 8)
    assert audit_faults(report, **limits) == []
    assert strange.features[1].unknown == 1
    assert audit_faults(strange, **limits) == ["unknown in more than 0 of the rows: n"]
    [fault] = audit_faults(away, **limits)
    assert fault.startswith("never read from the store")


def test_rows_without_values_are_unknown_unless_the_ladder_answered(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    log = _log(tmp_path, [(_key("a"), 5, [0.1, 7.0, 1.0, 1.0], None)] * 4)
    table = pq.read_table(log.files)
    vectors = pa.array([table["features"][0].as_py(), None, None, None], pa.list_(pa.float32()))
    table = table.set_column(2, "features", vectors)
    levels = pa.array([0, 0, 2, 3], pa.uint8())
    pq.write_table(table.append_column("level", levels), log.files)

    report = _audit(log, sources)

    assert (report.logged_rows, report.unknown_rows) == (1, 1)
    told = audit_faults(report, max_mismatch_rate=0.0, max_unknown_rate=0.0)
    assert told == ["rows without values: 1 of 2"]
    assert audit_faults(report, max_mismatch_rate=0.0, max_unknown_rate=0.5) == []


def test_at_most_the_given_number_of_rows_is_compared(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    log = _log(tmp_path, [(_key("a"), 5, [0.1, 7.0, 1.0, 1.0], None)] * 100)

    assert _audit(log, sources, max_rows=30).logged_rows == 25
    with pytest.raises(InvalidInputError, match="unknown"):
        _audit(replace(log, where="unknown = 3"), sources)
    assert _audit(replace(log, where="version = 2"), sources).logged_rows == 0
    either = replace(log, where="version = 2 OR version = 1")
    assert _audit(either, sources, max_rows=50).logged_rows == 50


def test_features_left_out_are_reported_with_the_reason(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    user = a_view("user", (*USER.features, Feature("city", FeatureDtype.STRING)))
    ask = FeatureView(
        "ask", 1, "request", (Feature("km", FeatureDtype.FLOAT64),), kind=ViewKind.REQUEST
    )
    refs = [*REFS, FeatureRef("user", 1, "city"), FeatureRef("ask", 1, "km")]
    log = _log(tmp_path, [(_key("a"), 5, [0.1, 7.0, 1.0, 1.0, NAN, 1.0], None)])

    report = audit_features(log, refs, [user, SHOP, ask], sources, entity="user", keys=KEYED)

    assert [each.name for each in report.features] == ["user:f0", "n", "f1"]
    assert report.left_out == (
        "shop:f0 (of entity shop)",
        "city (a text)",
        "km (from the request)",
    )


def test_another_secret_matches_no_entity(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    log = _log(tmp_path, [(_key("a", b"salt"), 5, [0.1, 7.0, 1.0, 1.0], None)])

    assert _audit(log, sources).matched_rows == 0


def test_vectors_of_another_width_are_refused(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    log = _log(tmp_path, [(_key("a"), 5, [0.1, 7.0, 1.0], None)])

    with pytest.raises(InvalidInputError, match="vectors of \\[3\\] values"):
        _audit(log, sources)
    with pytest.raises(NotFoundError):
        _audit(ScoreLog(str(tmp_path / "none.parquet")), sources)


def test_values_of_the_store_without_a_history_are_unknown(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    honest: Row = (_key("a"), 5, [0.1, 7.0, 1.0, 1.0], None)
    lacking: Row = (_key("stranger"), 5, [0.1, 7.0, 1.0, 1.0], [5, 0, 0, 5])
    unknown: Row = (_key("unknown"), 5, [NAN, 7.0, 4.0, NAN], [5, 0, 3, 5])

    report = _audit(_log(tmp_path, [honest, lacking, unknown]), sources)

    assert (report.matched_rows, report.unmatched_rows) == (1, 1)
    told = audit_faults(report, max_mismatch_rate=0.0, max_unknown_rate=0.0)
    kind = "rows with values of the store whose entity is not in the history"
    assert told == [f"{kind}: 1 of 3"]
    assert audit_faults(report, max_mismatch_rate=0.0, max_unknown_rate=0.4) == []


@pytest.mark.parametrize("keys", [KEYED, LoggedIds(IdForm.PLAIN)])
def test_the_log_that_routers_write_can_be_audited(
    tmp_path: Path, sources: dict[str, HistorySource], keys: LoggedIds
) -> None:
    vectors = [[0.1, 7.0, 1.0, 1.0], [0.9, 7.0, 4.0, NAN]]
    statuses = [[0, 0, 0, 0], [0, 0, 3, 5]]
    with LogWriter(tmp_path / "logs", ids=keys) as writer:
        assert writer.offer(_answered(["a", "b"], vectors, statuses))
        assert writer.offer(_answered(["a", "stranger"], [vectors[0]] * 2, None))
    log = ScoreLog(str(tmp_path / "logs" / "score" / "model=m" / "*" / "*.parquet"))

    report = audit_features(
        log,
        REFS,
        [USER, SHOP],
        sources,
        entity="user",
        keys=keys,
    )

    assert (report.logged_rows, report.matched_rows) == (4, 3)
    assert [each.mismatches for each in report.features] == [1, 0, 0]
    assert report.features[0].worst[0].key == "b"
    shares = feature_shares(log.files, REFS, where="version = 1")
    assert [each.missing for each in shares] == [0, 0, 0, 0.25]
    assert shares[2].defaulted == 0.25


def test_files_of_another_key_are_left_out_and_named_or_refused_if_there_are_no_others(
    tmp_path: Path, sources: dict[str, HistorySource]
) -> None:
    other = LoggedIds(IdForm.KEYED, b"the key of last year")
    for keys, ids in ((KEYED, ["a", "b"]), (other, ["a"])):
        with LogWriter(tmp_path / keys.key_id, ids=keys) as writer:
            assert writer.offer(_answered(ids, [[0.2, 7.0, 2.0, 2.0]] * len(ids), None))
    score = "score/model=m/*/*.parquet"

    report = _audit(ScoreLog(str(tmp_path / "*" / score)), sources)

    assert (report.logged_rows, report.matched_rows) == (2, 2)
    assert [(each.key_id, each.files) for each in report.other_ids] == [(other.key_id, 1)]
    with pytest.raises(InvalidInputError, match=f"--log-key-file.*{other.key_id}"):
        _audit(ScoreLog(str(tmp_path / other.key_id / score)), sources)


def _answered(
    ids: list[str], vectors: list[list[float]], statuses: list[list[int]] | None
) -> ScoreBatchLog:
    rows = len(ids)
    return ScoreBatchLog(
        model="m",
        version=1,
        arm="champion",
        revision=1,
        at_us=round((NOW_S + 5) * 1e6),
        request_ids=ids,
        entity_ids=ids,
        scores=np.zeros(rows),
        decisions=np.full(rows, NO_DECISION, dtype=np.int8),
        levels=np.zeros(rows, dtype=np.uint8),
        queue_s=[0.0] * rows,
        total_s=[0.0] * rows,
        fetch_us=1,
        infer_us=1,
        split=CHAMPION_ONLY,
        seats=[0] * rows,
        features=float_features(np.array(vectors), tuple(str(ref) for ref in REFS)),
        statuses=None if statuses is None else np.array(statuses, dtype=np.uint8),
    )
