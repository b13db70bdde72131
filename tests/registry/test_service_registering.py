"""Registering versions and reading them back, over real gRPC and real files."""

from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.registry.operator import (
    Operator,
    failure_of,
    files_below,
    registration_parts,
    rows_of,
    version_1,
)
from tests.registry.samples import ACTOR, SCORE, new_version, record_with, trained
from understudy.domain.versions import ScoreOutput
from understudy.registry.v1 import registry_pb2 as pb

Status = grpc.StatusCode
DEEP = "[" * 50_000 + "]" * 50_000


async def test_versions_are_numbered_by_the_registry(operator: Operator) -> None:
    first = (await operator.register(new_version())).version
    other = new_version(record_with("people.contact", "another@lab"))
    second = (await operator.register(other)).version

    assert (first.ref.number, second.ref.number) == (1, 2)
    assert first.registered_by == ACTOR
    assert list(first.feature_set) == ["patient@1:f0", "patient@1:f1", "patient@1:f2"]
    assert first.artifact_digest == second.artifact_digest


async def test_the_same_content_is_the_same_version(operator: Operator, tmp_path: Path) -> None:
    first = await operator.register(new_version())
    rows = rows_of(tmp_path, "versions"), rows_of(tmp_path, "audit")

    again = await operator.register(new_version(reason="another reason"))
    other_column = await operator.register(new_version(score_output=replace(SCORE, column=0)))

    assert (first.already_registered, again.already_registered) == (False, True)
    assert again.version == first.version
    assert other_column.version.ref.number == 2
    assert not other_column.already_registered
    assert len(rows_of(tmp_path, "versions")) == len(rows[0]) + 1
    assert len(rows_of(tmp_path, "audit")) == len(rows[1]) + 1


async def test_the_same_content_of_another_model_is_a_version_of_its_own(
    operator: Operator,
) -> None:
    await operator.register(new_version())

    other = await operator.register(new_version(model="churn"))

    assert (other.version.ref.model, other.version.ref.number) == ("churn", 1)
    assert not other.already_registered


async def test_a_refused_version_leaves_nothing(operator: Operator, tmp_path: Path) -> None:
    refused = await operator.register(new_version(record_with("people.approver", ACTOR)))

    assert [finding.field for finding in refused.report.findings] == ["people.approver"]
    assert not refused.HasField("version")
    assert rows_of(tmp_path, "versions") == rows_of(tmp_path, "audit") == []
    assert files_below(tmp_path / "artifacts") == []


async def test_a_check_registers_nothing(operator: Operator, tmp_path: Path) -> None:
    checked = await operator.check(new_version())

    assert checked.report.complete
    assert rows_of(tmp_path, "versions") == []


async def test_an_artifact_is_returned_as_it_was_sent(deployer: Operator) -> None:
    version = await version_1(deployer)

    for file in version.files:
        sent = (trained().artifact_dir / file.path).read_bytes()
        assert await deployer.fetch(file.sha256) == sent


async def test_a_corrupted_artifact_is_not_delivered(deployer: Operator, seeded: Path) -> None:
    version = await version_1(deployer)
    digest = version.files[0].sha256
    stored = seeded / "artifacts" / "sha256" / digest[:2] / digest
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")

    error = await failure_of(deployer.fetch(digest))

    assert error.code() is Status.DATA_LOSS


async def test_a_view_that_does_not_match_its_digest_is_refused(operator: Operator) -> None:
    first, *rest = registration_parts(new_version())
    first.registration.feature_views[0].digest = "ab" * 32
    call = operator.stub.RegisterVersion(
        iter([first, *rest]), metadata=(("understudy-actor", ACTOR),)
    )

    assert "feature_views[0]" in str((await failure_of(call)).details())


async def test_a_score_output_that_does_not_exist_is_a_finding(operator: Operator) -> None:
    response = await operator.register(new_version(score_output=ScoreOutput("nothing", 0)))

    assert [finding.field for finding in response.report.findings] == ["score_output"]


@pytest.mark.parametrize(
    "text", [DEEP, "[]", "1", '{"name": 1}', '{"name": "v", "features": [[]]}', ""]
)
async def test_a_view_that_cannot_be_read_is_the_callers_fault(
    operator: Operator, text: str
) -> None:
    asked = pb.Registration(
        model="fraud", feature_views=[pb.FeatureViewDefinition(canonical_json=text)], reason="why"
    )
    call = operator.stub.CheckVersion(
        iter([pb.CheckVersionRequest(registration=asked)]),
        metadata=(("understudy-actor", ACTOR),),
    )

    error = await failure_of(call)

    assert error.code() is Status.INVALID_ARGUMENT
    assert "feature_views[0]" in str(error.details())
