"""Requests of a registry are refused before they are made into values, and shown in part only."""

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from registry.server.deployment_change import CHANGE_FORM
from registry.server.report_wire import REPORT_FORMS, router_report_from_wire
from registry.server.wire import submission_forms
from tests.registry.operator import Operator, failure_of
from tests.registry.profiled import calls_of
from tests.registry.samples import ACTOR
from understudy.control.change_wire import change_from_wire
from understudy.control.identity import ACTOR_KEY
from understudy.control.wire import rule_from_wire
from understudy.domain.errors import MOST_FAULTS, Fault, InvalidInputError
from understudy.provenance.findings import read_record, without_repeats
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.rpc_boundary import Form
from understudy.scoring.v1.scoring_pb2 import ARM_SHADOW, WITHHELD_REASON_NOT_READY

WHO = ((ACTOR_KEY, ACTOR),)
RULES = [pb.Rule(name=f"r{at}", operator=pb.RULE_OPERATOR_GREATER) for at in range(300)]
MODELS = 1_000
WITHHELD = pb.WithheldPart(arm=ARM_SHADOW, version=2, reason=WITHHELD_REASON_NOT_READY)


class Loud(str):
    """A text that may be shown in part only."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise AssertionError("the whole text was written out")


class Compared(str):
    """A text that counts how often any is compared."""

    __slots__ = ()
    times = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)


def test_only_the_shown_part_of_a_refused_text_is_written_out() -> None:
    """The `repr` of 8 MB took 10 to 30 ms of each refused call, and all but 80 characters were cut."""
    fault = Fault.of("model", read=Loud("x" * 200), accepted="another one")

    assert fault.read == "'" + "x" * 79 + "…"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"set_rules": pb.SetRules(rules=RULES)}, "set_rules.rules"),
        ({"apply": pb.Apply(rules=RULES)}, "apply.rules"),
        ({"apply": pb.Apply(challengers=[pb.Challenger(version=1)] * 600)}, "apply.challengers"),
        ({"apply": pb.Apply(shadows=[pb.Shadow(version=1)] * 600)}, "apply.shadows"),
        ({"set_host_labels": pb.SetHostLabels(labels=["l" * 40] * 33)}, "set_host_labels.labels"),
        (
            {"change_contract": pb.ChangeContract(accept_features=["f"] * 4_097)},
            "change_contract.accept_features",
        ),
    ],
)
async def test_a_change_with_too_many_parts_is_refused_by_counting_them(
    operator: Operator, change: dict[str, Any], path: str
) -> None:
    """4,900 rules, 50 kB, were made into values in 14 ms before a word of the change was checked."""
    request = pb.ChangeDeploymentRequest(model="fraud", reason="a test", **change)
    made = calls_of(rule_from_wire, lambda: _refused(lambda: _read_change(request)))

    error = await failure_of(operator.stub.ChangeDeployment(request, metadata=WHO))

    assert made == 0
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(error.details()).startswith(f"{path}: ")


def test_a_search_for_faults_in_rules_ends_at_the_20th() -> None:
    request = pb.ChangeDeploymentRequest(set_rules=pb.SetRules(rules=[pb.Rule()] * 100))

    error = _refused(lambda: _read_change(request))

    assert len(error.faults) == MOST_FAULTS


@pytest.mark.parametrize(
    ("registration", "field"),
    [
        (pb.Registration(files=[pb.ArtifactFile(path="../x")] * 9_000), "registration.files"),
        (pb.Registration(files=[pb.ArtifactFile(path="x")] * 65), "files"),
        (pb.Registration(provenance_json="[" * ((1 << 20) + 1)), "registration.provenance_json"),
        (pb.Registration(provenance_json="[" + "1," * 25_001), "provenance_json"),
        (pb.Registration(provenance_json="[" + "{}," * 8_193), "provenance_json"),
        (
            pb.Registration(feature_views=[pb.FeatureViewDefinition(digest="d" * 64)] * 257),
            "registration.feature_views",
        ),
    ],
)
async def test_a_registration_with_too_many_parts_is_refused_by_counting_them(
    operator: Operator, registration: pb.Registration, field: str
) -> None:
    """9,000 faulty paths, 70 kB, took 63 ms; 8 MB of a record with small values 6 s."""
    part = pb.CheckVersionRequest(registration=registration)

    error = await failure_of(operator.stub.CheckVersion(iter([part]), metadata=WHO))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(error.details()).startswith(f"{field}: ")


def test_the_forms_of_submissions_and_changes_bound_their_lists() -> None:
    forms: tuple[Form, ...] = (CHANGE_FORM, *submission_forms(64))

    assert {form.kind for form in forms} == {
        pb.ChangeDeploymentRequest,
        pb.CheckVersionRequest,
        pb.RegisterVersionRequest,
    }


@pytest.mark.parametrize(
    "record",
    [{f"group{at}": 1 for at in range(5_000)}, {"features": {"columns": [{}] * 5_000}}],
)
def test_of_many_findings_in_a_record_the_first_are_named_and_all_counted(
    record: dict[str, Any],
) -> None:
    findings = read_record(json.dumps(record)).findings

    counts = [each.read for each in findings if each.read.endswith(" faults")]
    assert len(counts) == 1
    assert int(counts[0].removesuffix(" faults")) >= 5_000
    assert len(findings) < 130


def test_of_very_many_faults_those_of_the_first_entries_are_described() -> None:
    """Describing 140,000 faults took 0.3 s, and 100 were named."""
    record = {"data": {"others": [{}] * 5_000}, "run": {f"k{at}": 1 for at in range(5_000)}}

    findings = read_record(json.dumps(record)).findings

    named = {each.field for each in findings}
    assert {"data.others[0].uri", "data.others[15].uri", "run.k0", "run.id"} <= named
    assert "data.others[20].uri" not in named
    assert "run.k20" not in named


def test_very_many_faults_behind_sound_entries_are_counted() -> None:
    record = {"seeds": {"values": {f"k{at}": at if at < 20 else "x" for at in range(5_000)}}}

    findings = [each for each in read_record(json.dumps(record)).findings if "seeds" in each.field]

    assert [str(each) for each in findings if "faults" in each.read] != []


def test_a_search_for_inexact_integers_ends_at_the_100th() -> None:
    record = {"parameters": {"values": {f"k{at}": 2**70 for at in range(5_000)}}}

    assert len(read_record(json.dumps(record)).findings) == 100


def test_a_name_that_occurs_twice_is_found_by_one_reading_of_the_names() -> None:
    """It was sought once for each of the others: 10,000 names took a second, 25,000 six."""
    names = [Compared(f"k{at}") for at in range(1_000)]

    with pytest.raises(ValueError, match='the name "k7" occurs twice'):
        without_repeats([(name, 1) for name in (*names, Compared("k7"))])

    assert Compared.times < 10 * len(names)


@pytest.mark.parametrize("shares", [0, 1])
def test_the_models_of_a_refused_report_cost_a_few_calls_each(shares: int) -> None:
    """A path, and the numbers of three lists, were made of each of 1,000 sound models."""
    sound = pb.RouterModelState(model="fraud", revision=1, withheld=[WITHHELD] * shares)
    report = pb.ReportRouterRequest(
        router_id="r", models=[sound] * (MODELS - 1) + [pb.RouterModelState(revision=1)]
    )
    received = REPORT_FORMS[1].read(report.SerializeToString())

    calls = calls_of(
        None,
        lambda: _refused(
            lambda: router_report_from_wire(
                received.parsed(), largest_part_bytes=received.largest_part_bytes
            )
        ),
    )

    assert calls < (3 + shares) * MODELS


@pytest.mark.parametrize("part", ["effective", "withheld", "unservable"])
def test_too_many_shares_are_found_in_any_one_model(part: str) -> None:
    entry = {
        "effective": pb.Challenger(),
        "withheld": WITHHELD,
        "unservable": pb.UnservableVersion(),
    }[part]
    small, large = pb.RouterModelState(model="a"), pb.RouterModelState(model="b")
    getattr(large, part).extend([entry] * 101)
    report = pb.ReportRouterRequest(router_id="r", models=[*[small] * 20, large, *[small] * 20])
    received = REPORT_FORMS[1].read(report.SerializeToString())

    error = _refused(
        lambda: router_report_from_wire(
            received.parsed(), largest_part_bytes=received.largest_part_bytes
        )
    )

    assert [fault.field for fault in error.faults] == [f"models[20].{part}"]


def _read_change(request: pb.ChangeDeploymentRequest) -> object:
    return change_from_wire(CHANGE_FORM.read(request.SerializeToString()))


def _refused(read: Callable[[], object]) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as raised:
        read()
    return raised.value
