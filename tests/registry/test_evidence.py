"""The evidence for a record's fields: verified means that another value would have been refused."""

import json
from collections.abc import Iterator
from copy import deepcopy
from hashlib import sha256
from typing import Any

from registry.cli.output import print_report
from tests.gate.test_gate import WAIVER, judged, submission
from tests.gate.test_nonsense import dotted, leaves, rich_record
from tests.registry.commands import command, json_of
from tests.registry.samples import trained
from understudy.provenance.evidence import Evidence, FieldEvidence, evidence_of, summed_up
from understudy.provenance.findings import read_record
from understudy.provenance.inspection import Inspection
from understudy.provenance.record import FROM_SCRATCH
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.output_option import Format

OTHER = sha256(b"another").hexdigest()
# Another value is of another form, claims less (rows that run alone), or is judged by a difference.
ONE_VALUE = {
    *("schema_version", "evaluation.comparison.first_version", "artifact.joins_rows"),
    "artifact.golden.tolerance",
}


def evidence_for(record: dict[str, Any]) -> dict[str, FieldEvidence]:
    return {row.field: row for row in judged(record).evidence}


def others_than(value: Any) -> Iterator[Any]:
    """Yield other values of the same form."""
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
        case float():
            yield value / 2 if value else 0.5
        case str():
            digest = value.rpartition(":")[2]
            is_digest = len(digest) == len(OTHER)
            yield f"{value.removesuffix(digest)}{OTHER}" if is_digest else f"{value}0"
        case _:
            yield 7.0


def changed(record: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copy = deepcopy(record)
    place: Any = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


def test_another_value_of_every_verified_field_is_refused() -> None:
    record = rich_record()
    verified = {f for f, row in evidence_for(record).items() if row.evidence is Evidence.VERIFIED}
    passed = [
        (path, other)
        for path, value in leaves(record)
        for field in verified - ONE_VALUE
        if dotted(path) == field or dotted(path).startswith((f"{field}.", f"{field}["))
        for other in others_than(value)
        if not judged(changed(record, path, other)).findings
    ]

    assert passed == []
    assert {"artifact.files[].sha256", "features.columns[].ref", "parameters.sha256"} <= verified


def test_a_tolerance_below_the_replayed_difference_is_refused() -> None:
    inspection = submission().inspection
    far = dict.fromkeys(inspection.golden_differences, 1e-4)
    report = judged(inspection=inspection.model_copy(update={"golden_differences": far}))

    assert report.findings


def test_the_words_of_people_are_claims() -> None:
    found = evidence_for(trained().record)

    for field in ("people.author", "data.training.content", "evaluation.metrics[].value"):
        assert found[field].evidence is Evidence.CLAIMED
        assert not found[field].by


def test_a_field_is_verified_only_where_the_gate_could_compare_it() -> None:
    scratch = evidence_for(trained().record)
    outside = changed(trained().record, ("features", "transform", "where"), "before_loading")
    alone = changed(trained().record, ("artifact", "joins_rows"), value=False)

    assert trained().record["parent"]["version"] == FROM_SCRATCH
    assert scratch["parent.version"].evidence is Evidence.CLAIMED
    assert scratch["features.transform.digest"].evidence is Evidence.VERIFIED
    assert evidence_for(outside)["features.transform.digest"].evidence is Evidence.CLAIMED
    assert evidence_for(alone)["artifact.joins_rows"].evidence is Evidence.CLAIMED


def test_a_model_that_did_not_load_verifies_nothing_about_itself() -> None:
    report = judged(inspection=Inspection())

    for row in report.evidence:
        if row.field.startswith(("artifact.inputs", "artifact.golden", "environment.converter")):
            assert row.evidence is Evidence.CLAIMED


def test_a_waiver_names_its_approver_and_its_last_day() -> None:
    row = evidence_for(rich_record())["policy.licence"]

    assert row.evidence is Evidence.WAIVED
    said = f"grace@lab until {WAIVER['expires_on']}: {WAIVER['reason']}"
    assert row.by == f"{said} (unproven: nothing proved the names of author and approver)"


def test_a_field_with_a_finding_has_no_evidence() -> None:
    record = changed(trained().record, ("artifact", "files", 0, "sha256"), OTHER)

    assert "artifact.files[].sha256" not in evidence_for(record)
    assert "artifact.files[].path" in evidence_for(record)


def test_every_field_of_the_record_has_evidence() -> None:
    record = rich_record()
    found = {*evidence_for(record)}
    missing = {
        dotted(path)
        for path, value in leaves(record)
        if value is not None
        and not any(dotted(path) == f or dotted(path).startswith((f"{f}.", f"{f}[")) for f in found)
    }

    assert missing == set()


def test_the_sum_for_people_says_the_same() -> None:
    rows = evidence_of(read_record(json.dumps(rich_record())).groups)
    short = summed_up(rows)

    assert len(short) < len(rows) / 2
    for row in rows:
        (place,) = [s for s in short if row.field == s.field or row.field.startswith(f"{s.field}.")]
        assert (place.evidence, place.by) == (row.evidence, row.by)


def test_check_and_show_print_the_evidence(unchanged: str, capsys: Any) -> None:
    shown = command("show", "fraud@1").stdout
    fields = {row["field"]: row for row in json_of("show", "fraud@1")["evidence"]}

    print_report(pb.CheckVersionResponse(), Format.TABLE)

    assert "the received bytes" in shown
    assert fields["artifact.files[].sha256"]["evidence"] == "EVIDENCE_VERIFIED"
    assert fields["people.author"]["evidence"] == "EVIDENCE_CLAIMED"
    assert "evidence" not in capsys.readouterr().out
