"""An answer is explained from the log and the registry; absent facts are named."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.explanation import feature_facts, unchanged_for
from tests.logs.builders import Share, float_features, score_batch
from tests.registry.commands import REASON, command, json_of
from tests.registry.samples import ACTOR
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureStatus, FeatureView
from understudy.features.decisions.feature_columns import FeatureColumn
from understudy.logs.writer import LogWriter
from understudy.runtime.exit_codes import OK, USAGE

SPLIT = (Share("champion", 1, 9_000), Share("challenger", 2, 1_000))
VIEW = FeatureView(
    "user",
    1,
    "user",
    (
        Feature("limited", FeatureDtype.FLOAT32, max_age_s=60.0),
        Feature("plain", FeatureDtype.FLOAT32),
    ),
)
COLUMNS = tuple(
    FeatureColumn(FeatureRef("user", 1, feature.name), VIEW, feature, place)
    for place, feature in enumerate(VIEW.features)
)


def write(logs: Path, **given: Any) -> None:
    at_us = int(datetime.now(UTC).timestamp() * 1e6)
    columns: dict[str, Any] = {
        "version": 2,
        "arm": "challenger",
        "revision": 2,
        "split": SPLIT,
        "seats": np.array([1], np.uint16),
        "features": float_features(np.array([[0.5, np.nan, 2.0]]), ("f0", "f1", "f2")),
        "statuses": np.array([[0, 5, 1]], np.uint8),
        "at_us": at_us,
    }
    with LogWriter(logs) as writer:
        writer.offer(score_batch(1, **columns | given))


def test_an_answer_leads_to_its_version_its_proofs_and_its_change(
    registry: str, tmp_path: Path
) -> None:
    command("deploy", "fraud@1", *REASON)
    command(
        "canary", "fraud@2", "--weight", "10%", "--reason", "2 looks better", "--actor", "bo@lab"
    )
    write(tmp_path)
    command("threshold", "fraud", "--value", "0.7", *REASON)
    words = ("explain", "r0", "--log-dir", str(tmp_path))

    [row] = json_of(*words, "--verify")["rows"]
    table = command(*words).stdout

    version = json_of("show", "fraud@2")
    assert row["version"]["artifact_digest"] == version["artifact_digest"]
    assert row["version"]["list_of_files"] == row["version"]["provenance_record"]
    assert row["version"]["provenance_record"] == "matches its digest"
    assert row["version"]["approver"] == "grace@lab"
    assert row["version"]["verified_now"].startswith("intact: ")
    revision = row["revision"]
    assert (revision["revision"], revision["part"]) == (2, "challenger 10%")
    assert (revision["made"]["by"], revision["made"]["reason"]) == ("bo@lab", "2 looks better")
    assert revision["part_given"] == revision["made"]
    assert revision["declared_at_that_time"] == 2
    audit = json_of("audit", "list", "fraud")["entries"]
    assert revision["audit_digest"] == audit[revision["audit_row"] - 1]["digest"]
    assert row["features"] == [
        {"name": "f0", "value": 0.5, "status": "present", "age": "not logged"},
        {"name": "f1", "value": None, "status": "missing", "age": "no record"},
        {"name": "f2", "value": 2.0, "status": "from_request", "age": "of the request"},
    ]
    assert "canary by bo@lab" in table
    assert "not asked for (--verify)" in table
    assert "absent: values: missing" in table


def test_a_part_was_given_by_the_revision_that_began_it(registry: str, tmp_path: Path) -> None:
    command("deploy", "fraud@1", "--reason", "the first", "--actor", ACTOR)
    command("threshold", "fraud", "--value", "0.7", *REASON)
    write(tmp_path, version=1, arm="champion", seats=np.array([0], np.uint16))

    [row] = json_of("explain", "r0", "--log-dir", str(tmp_path))["rows"]

    assert row["revision"]["made"]["action"] == "threshold"
    assert row["revision"]["part_given"]["reason"] == "the first"
    assert not row["revision"]["part_given_or_before"]


def test_facts_that_are_absent_are_named(unchanged: str, tmp_path: Path) -> None:
    write(tmp_path, version=9, revision=77, features=None, statuses=None)
    logs = ("--log-dir", str(tmp_path))

    explained = command("explain", "r0", *logs)
    unknown = command("explain", "another", *logs)
    candidate = command("explain", "r0", "--candidate", "c1", *logs)

    assert explained.exit_code == OK
    assert "absent: version: this registry has no fraud@9" in explained.stdout
    assert "absent: revision: this registry has no revision 77 of fraud" in explained.stdout
    assert "absent: features: the model read none" in explained.stdout
    assert (unknown.exit_code, candidate.exit_code) == (USAGE, USAGE)
    assert "request another" in unknown.stderr


def test_rows_beyond_the_limit_are_counted(unchanged: str, tmp_path: Path) -> None:
    for _ in range(3):
        write(tmp_path)

    found = json_of("explain", "r0", "--log-dir", str(tmp_path), "--limit", "2")

    assert (len(found["rows"]), found["left_out"]) == (2, 1)


@given(st.lists(st.tuples(st.floats(width=32), st.integers(0, 7)), min_size=2, max_size=2))
def test_every_value_has_a_fact_and_the_age_of_its_record_if_it_came_from_one(
    row: list[tuple[float, int]],
) -> None:
    values, statuses = zip(*row, strict=True)

    facts = feature_facts(("limited", "plain"), values, statuses, COLUMNS, {"user@1": 1500})

    of_records = {FeatureStatus.PRESENT, FeatureStatus.STALE, FeatureStatus.LAST_KNOWN}
    of_records |= {FeatureStatus.NULL, FeatureStatus.NULL_DEFAULTED}
    for fact, number in zip(facts, statuses, strict=True):
        assert (fact.age == "1.5 s") == (number in of_records)
        assert fact.status


def test_values_without_statuses_were_all_present() -> None:
    [number, text] = feature_facts(("limited", "plain"), (1.0, "LI"), None, COLUMNS, {})

    assert (number.value, number.status, number.age) == (1.0, "present", "not logged")
    assert (text.value, text.status) == ("LI", "present")


@pytest.mark.parametrize(("parts", "same"), [("a", 1), ("aab", 2), ("aba", 1), ("aaa", 3)])
def test_a_part_began_where_it_last_changed(parts: str, same: int) -> None:
    assert unchanged_for(parts) == same
