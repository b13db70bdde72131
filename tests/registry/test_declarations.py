"""A deployment declared by a file: read, written, and changed in several parts at once."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from registry.cli.declaration_file import declaration_text, read_declaration
from registry.decisions.combination import Clearable, Combination, combined
from tests.domain.margin_samples import MARGINS_WITHOUT_THRESHOLD
from tests.registry.commands import REASON, command, json_of
from understudy.domain.changes import apply_of
from understudy.domain.deployments import (
    Challenger,
    Deployment,
    Fallback,
    Rule,
    RuleOperator,
    Shadow,
)
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureDtype
from understudy.domain.margins import Costs, Margins, Measure
from understudy.runtime.exit_codes import CONFLICT, OK, REFUSED, USAGE

MARGINS = Margins.of_sizes(
    Measure.COST, {Measure.COST: 0.5, Measure.MEAN_SCORE: 0.01}, Costs(1.0, 25.0)
)
FULL = Deployment(
    model="fraud",
    revision=4,
    champion=1,
    salt="fraud",
    challengers=(Challenger(2, 1_000), Challenger(3, 0)),
    shadows=(Shadow(4, 10_000, refuses_defaults=True, margins=MARGINS),),
    fallback=Fallback(5, 60.0, 0.5),
    decision_threshold=0.25,
    rules=(Rule("vip", "amount", RuleOperator.AT_LEAST, 1.0, "accept", 0.0),),
    host_labels=("ssd",),
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(min_size=1, max_size=8)
RULES = st.builds(
    Rule,
    TEXTS,
    TEXTS,
    st.sampled_from(RuleOperator),
    FINITE,
    TEXTS,
    FINITE,
    st.none() | st.sampled_from(FeatureDtype),
)
DEPLOYMENTS = st.builds(
    replace,
    st.just(FULL),
    challengers=st.just(())
    | st.builds(Challenger, st.just(2), st.integers(0, 10_000)).map(lambda each: (each,)),
    shadows=st.just(())
    | st.builds(
        Shadow,
        st.just(3),
        st.integers(1, 10_000),
        st.booleans(),
        st.none() | MARGINS_WITHOUT_THRESHOLD,
    ).map(lambda each: (each,)),
    fallback=st.builds(
        Fallback,
        st.none() | st.integers(1, 9),
        st.none() | st.floats(min_value=0.1, allow_infinity=False),
        st.none() | FINITE,
    ),
    decision_threshold=st.none() | FINITE,
    rules=st.lists(RULES, max_size=2, unique_by=lambda rule: rule.name).map(tuple),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("declaration") / "deployment.yaml"


@given(DEPLOYMENTS)
def test_the_file_of_a_deployment_declares_it(file: Path, deployment: Deployment) -> None:
    file.write_text(declaration_text(deployment))

    assert read_declaration(file) == ("fraud", apply_of(deployment))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("champion: 1", "model"),
        ("model: fraud", "champion"),
        ("{model: fraud, champion: 0}", "champion"),
        ("{model: fraud, champion: true}", "champion"),
        ("{model: fraud, champion: 1, canaries: []}", "canaries"),
        ("{model: fraud, champion: 1, challengers: [{version: 2, weight: 10}]}", "weight"),
        ("{model: fraud, champion: 1, challengers: [{version: 2, weight: 110%}]}", "weight"),
        ("{model: fraud, champion: 1, fallback: {constant_score: .nan}}", "constant_score"),
        ("{model: fraud, champion: 1, champion: 2}", "'champion' stands twice"),
        ("model: fraud\n---\nmodel: loan", "one document"),
        ("[1, 2]", "deployment.yaml"),
        ("*unknown", "--file"),
    ],
)
def test_a_file_with_a_fault_is_refused_with_its_place(file: Path, text: str, field: str) -> None:
    file.write_text(text)

    with pytest.raises(InvalidInputError) as refused:
        read_declaration(file)

    assert field in str(refused.value)


def test_parts_that_are_not_named_stay_as_they_are() -> None:
    assert combined(FULL, Combination()) == apply_of(FULL)


def test_several_parts_are_set_at_once() -> None:
    wanted = Combination(
        champion=2,
        canaries_bp={3: 2_000, 6: 100},
        shadows_bp={4: 500},
        fallback=Fallback(constant_score=0.1),
        decision_threshold=0.75,
        host_labels=("gpu", "zone=eu"),
    )

    assert combined(FULL, wanted) == replace(
        apply_of(FULL),
        champion=2,
        challengers=(Challenger(3, 2_000), Challenger(6, 100)),
        shadows=(Shadow(4, 500, refuses_defaults=True, margins=MARGINS),),
        fallback=Fallback(5, 60.0, 0.1),
        decision_threshold=0.75,
        host_labels=("gpu", "zone=eu"),
    )


def test_parts_can_be_ended_and_cleared() -> None:
    ended = combined(FULL, Combination(canaries_bp={2: 0}, shadows_bp={4: 0}))
    cleared = combined(FULL, Combination(clears=frozenset(Clearable)))
    replaced = combined(
        FULL, Combination(fallback=Fallback(version=7), clears=frozenset({Clearable.FALLBACK}))
    )

    assert (ended.challengers, ended.shadows) == ((Challenger(3, 0),), ())
    assert cleared == apply_of(Deployment("fraud", 1, 1, "fraud"))
    assert replaced.fallback == Fallback(version=7)


def test_an_exported_deployment_applies_to_no_change_and_an_edited_one_to_its_difference(
    registry: str, tmp_path: Path
) -> None:
    file = tmp_path / "deployment.yaml"
    command("deploy", "fraud@1", *REASON)
    command("canary", "fraud@2", "--weight", "10%", *REASON)
    file.write_text(command("status", "fraud", "--output", "yaml").stdout)
    words = ("apply", "--file", str(file), *REASON)

    same = command(*words, "--expect-revision", "2")
    edited = yaml.safe_load(file.read_text()) | {"decision_threshold": 0.75}
    edited["challengers"][0]["weight"] = "12.5%"
    file.write_text(yaml.safe_dump(edited))
    planned = command(*words, "--dry-run")
    late = command(*words, "--expect-revision", "1")
    made = command(*words, "--expect-revision", "2")

    assert (same.exit_code, planned.exit_code, late.exit_code) == (OK, OK, CONFLICT)
    assert "revision 2 is as declared; nothing to change" in same.stdout
    lines = planned.stdout.splitlines()
    assert lines[0].startswith("fraud: revision 2 -> would be revision 3")
    changed = [line.strip() for line in lines if line.startswith(("+", "-"))]
    assert changed == [
        "-  weight: 10%",
        "+  weight: 12.5%",
        "-decision_threshold: 0.5",
        "+decision_threshold: 0.75",
    ]
    assert made.exit_code == OK
    assert [each["action"] for each in json_of("history", "fraud")] == [
        "ACTION_DEPLOY",
        "ACTION_CANARY",
        "ACTION_APPLY",
    ]


def test_a_declared_version_that_does_not_exist_is_refused(registry: str, tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text("{model: fraud, champion: 9}")

    refused = command("apply", "-f", str(file), "--expect-revision", "0", *REASON)

    assert refused.exit_code == USAGE
    assert "version fraud@9" in refused.stderr
    assert json_of("status")["deployments"] == []


def test_set_pause_and_rollback_at_the_command_line(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)

    both = ("--canary", "2=5%", "--threshold", "0.5", "--constant-score", "0.1")
    labels = ("--labels", "zone=eu, gpu")
    done = json_of("set", "fraud", *both, *labels, "--expect-revision", "1", *REASON)
    late = command("set", "fraud", "--threshold", "0.6", "--expect-revision", "1", *REASON)
    nothing = command("set", "fraud", "--expect-revision", "2", *REASON)
    twice = command("set", "fraud", "--canary", "2=5%", "--canary", "2=6%", *REASON)
    blank = command("set", "fraud", "--labels", " ", *REASON)
    paused = json_of("pause", "fraud", "--expect-revision", "2", *REASON)
    again = command("pause", "fraud@2", "--expect-revision", "3", *REASON)
    resumed = json_of("rollback", "fraud", "--expect-revision", "3", *REASON)

    assert done["after"]["challengers"] == [{"version": 2, "weight_bp": 500}]
    assert done["after"]["fallback"]["constant_score"] == 0.1
    assert (late.exit_code, nothing.exit_code, twice.exit_code) == (CONFLICT, USAGE, USAGE)
    assert done["after"]["host_labels"] == ["gpu", "zone=eu"]
    assert blank.exit_code == USAGE
    assert paused["after"]["challengers"] == [{"version": 2, "weight_bp": 0}]
    assert again.exit_code == REFUSED
    assert resumed["after"]["digest"] == done["after"]["digest"]
