"""The state that a watcher has in effect, its file, and its log."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from understudy.control.belief import Belief
from understudy.control.belief_metrics import belief_metrics
from understudy.control.sealed_state import unsealed
from understudy.control.wire import snapshot_from_wire, snapshot_to_wire
from understudy.domain.belief import RefusalReason
from understudy.domain.deployments import Deployment
from understudy.domain.errors import InvalidInputError
from understudy.domain.snapshots import Snapshot
from understudy.registry.v1 import registry_pb2 as pb

OURS = Snapshot("ours", 3, (Deployment("fraud", 2, champion=1, salt="s"),))
THEIRS = Snapshot("theirs", 9)


def believing(state: Snapshot, file: Path) -> Belief:
    """Return the belief of a process that has applied `state`."""
    belief = Belief(file)
    accepted = belief.take(snapshot_to_wire(state))
    assert accepted is not None
    belief.remember(accepted)
    return belief


def test_a_state_is_remembered_over_a_restart(tmp_path: Path) -> None:
    believing(OURS, tmp_path / "s.pb")

    assert Belief(tmp_path / "s.pb").snapshot == OURS


def test_a_deployment_that_a_state_lacks_is_remembered_with_it(tmp_path: Path) -> None:
    belief = believing(OURS, tmp_path / "s.pb")

    kept = belief.take(snapshot_to_wire(Snapshot("ours", 4)))
    assert kept is not None
    belief.remember(kept)

    assert Belief(tmp_path / "s.pb").snapshot == replace(OURS, sequence=4)


def test_a_state_is_remembered_as_it_was_received(tmp_path: Path) -> None:
    message = snapshot_to_wire(OURS)
    message.scorers.add(state=99)  # of a newer registry: not read, not lost
    belief = Belief(tmp_path / "s.pb")

    accepted = belief.take(message)
    assert accepted is not None
    belief.remember(accepted)

    content = unsealed((tmp_path / "s.pb").read_bytes())
    assert pb.Snapshot.FromString(content) == message


def test_a_state_that_cannot_be_kept_leaves_no_file(tmp_path: Path) -> None:
    """Each start of a process would leave another one, and take the room that the next needs."""
    path = tmp_path / "state"
    path.mkdir()

    with capture_logs() as lines:
        believing(OURS, path)

    assert list(tmp_path.iterdir()) == [path]
    assert lines[-1]["event"] == "snapshot_not_remembered"


def test_a_refused_state_is_not_remembered(tmp_path: Path) -> None:
    belief = believing(OURS, tmp_path / "s.pb")

    assert belief.take(snapshot_to_wire(THEIRS)) is None

    assert belief.snapshot == OURS
    assert belief.refusal is not None
    assert belief.refusal.reason is RefusalReason.ANOTHER_LINEAGE
    assert Belief(tmp_path / "s.pb").snapshot == OURS


def test_a_state_that_was_not_applied_is_not_remembered(tmp_path: Path) -> None:
    belief = believing(OURS, tmp_path / "s.pb")

    assert belief.take(snapshot_to_wire(replace(OURS, sequence=4))) is not None

    assert Belief(tmp_path / "s.pb").snapshot == OURS


def test_a_remembered_state_is_as_hard_to_replace_as_a_received_one(tmp_path: Path) -> None:
    believing(OURS, tmp_path / "s.pb")

    restarted = Belief(tmp_path / "s.pb")

    assert restarted.take(snapshot_to_wire(THEIRS)) is None
    assert restarted.take(snapshot_to_wire(replace(OURS, sequence=2))) is None
    assert restarted.refused_states == 2


def test_each_change_of_the_refusal_is_logged_once(tmp_path: Path) -> None:
    belief = believing(OURS, tmp_path / "s.pb")
    states = [THEIRS, replace(THEIRS, sequence=10), replace(OURS, sequence=1), OURS, OURS]

    with capture_logs() as logs:
        for state in states:
            belief.take(snapshot_to_wire(state))

    assert [(each["event"], each.get("reason")) for each in logs] == [
        ("snapshot_refused", "another_lineage"),
        ("snapshot_refused", "sequence_went_back"),
        ("snapshot_accepted_again", None),
    ]
    assert belief.refused_states == 3
    assert belief.refusal is None


@given(place=st.integers(0, 10_000), flipped=st.none() | st.integers(1, 255))
def test_a_file_that_is_cut_or_differs_in_a_bit_is_no_state_and_reported(
    place: int, flipped: int | None
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.pb"
        believing(OURS, path)
        whole = path.read_bytes()
        at = place % len(whole)
        damaged = bytearray(whole if flipped is not None else whole[:at])
        if flipped is not None:
            damaged[at] ^= flipped
        path.write_bytes(damaged)

        with capture_logs() as lines:
            belief = Belief(path)

        assert belief.snapshot is None
        assert belief.file_refused
        assert [each["event"] for each in lines] == ["remembered_snapshot_refused"]
        accepted = belief.take(snapshot_to_wire(THEIRS))  # as a process without a state does
        assert accepted == THEIRS
        belief.remember(THEIRS)
        assert Belief(path).snapshot == THEIRS


@pytest.mark.parametrize(
    "content", [b"", b"\x00damaged", snapshot_to_wire(OURS).SerializeToString()]
)
def test_a_file_without_length_and_digest_is_no_state(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.pb").write_bytes(content)

    belief = Belief(tmp_path / "s.pb")

    assert belief.snapshot is None
    assert belief.file_refused


def test_routers_and_scorer_hosts_have_the_same_metrics_of_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"")
    belief = Belief(tmp_path / "damaged")
    belief.take(snapshot_to_wire(OURS))
    belief.take(snapshot_to_wire(THEIRS))

    found = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in belief_metrics("understudy_scorer_host", belief)
        for sample in metric.samples
    }

    assert {name: value for name, value in found.items() if value} == {
        ("understudy_scorer_host_registry_refused", "another_lineage"): 1,
        ("understudy_scorer_host_refused_snapshots_total",): 1,
        ("understudy_scorer_host_remembered_state_refused",): 1,
    }


def test_an_absent_file_is_not_refused(tmp_path: Path) -> None:
    assert not Belief(tmp_path / "s.pb").file_refused


def test_an_empty_message_is_not_a_state() -> None:
    with pytest.raises(InvalidInputError, match="lineage"):
        snapshot_from_wire(pb.Snapshot())
