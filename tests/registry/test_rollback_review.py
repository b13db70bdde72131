"""The registry reviews its rollback targets by itself, and status shows the result."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from registry.app import open_registry
from registry.change_deployment import ChangeRequest
from registry.cli.status_output import print_status
from registry.decisions.actors import Actor
from registry.server.rollback_targets import RollbackTargets
from registry.server.status import status_of
from registry.settings import RegistrySettings
from tests.registry.test_preflight import DAMAGES, Damage
from understudy.domain.changes import DeployChampion, Undeploy
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.output_option import Format


async def deploy(targets: RollbackTargets, number: int) -> None:
    asked = ChangeRequest(
        "fraud",
        DeployChampion(number),
        "a test",
        Actor("ada@lab"),
        expect_revision=None,
        dry_run=False,
    )
    await targets.live.change(lambda: targets.changer.change(asked), models=["fraud"])


def reviewed(targets: RollbackTargets) -> list[pb.RollbackReview]:
    return list(status_of(targets.live, targets, "fraud", None).rollback_reviews)


def artifact_file(directory: Path) -> Path:
    return next(
        path for path in sorted((directory / "artifacts" / "sha256").rglob("*")) if path.is_file()
    )


@pytest.mark.parametrize(("damage", "told"), DAMAGES)
async def test_a_target_that_breaks_is_logged_once_and_shown_until_it_is_sound(
    seeded: Path, damage: Damage, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = RegistrySettings(unproven=True, dir=seeded, listen="127.0.0.1:0")
    file = artifact_file(seeded)
    whole = file.read_bytes()
    async with open_registry(settings) as opened:
        targets = opened.rollback_targets
        await deploy(targets, 1)
        await deploy(targets, 2)
        assert reviewed(targets) == []
        await targets.review_once()
        [sound] = reviewed(targets)

        damage(file)
        with capture_logs() as logs:
            await targets.review_once()
            await targets.review_once()
        [broken] = reviewed(targets)
        print_status(status_of(targets.live, targets, None, None), Format.TABLE)

        file.unlink(missing_ok=True)
        file.write_bytes(whole)
        with capture_logs() as later:
            await targets.review_once()

    assert [(each.revision, list(each.faults)) for each in sound.targets] == [(1, [])]
    assert (broken.current_revision, broken.targets[0].revision) == (2, 1)
    assert told in broken.targets[0].faults[0]
    assert [each["event"] for each in logs] == ["rollback_target_broken"]
    assert [each["event"] for each in later] == ["rollback_target_sound"]
    assert "fraud cannot return to revision 1: fraud@1: " in capsys.readouterr().out
    [again] = reviewed(targets)
    assert not again.targets[0].faults


async def test_the_review_of_an_ended_deployment_is_dropped(seeded: Path) -> None:
    settings = RegistrySettings(unproven=True, dir=seeded, listen="127.0.0.1:0")
    async with open_registry(settings) as opened:
        targets = opened.rollback_targets
        await deploy(targets, 1)
        await targets.review_once()
        assert len(reviewed(targets)) == 1
        ended = ChangeRequest(
            "fraud", Undeploy(), "a test", Actor("ada@lab"), expect_revision=None, dry_run=False
        )
        await targets.live.change(lambda: targets.changer.change(ended), models=["fraud"])

        await targets.review_once()

        assert reviewed(targets) == []
