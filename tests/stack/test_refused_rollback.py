"""A rollback to a version that cannot act is refused, and traffic stays as it is: real processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stack.traffic import open_traffic
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.understudy_command import output_of, running
from understudy.domain.changes import PolicySource, Promote, SetCanary
from understudy.runtime.exit_codes import OK, REFUSED

pytestmark = [pytest.mark.fault, pytest.mark.long]
MODEL = "cancer"
CALLS = 50
REASON = ("--reason", "a test")


def delete(file: Path) -> None:
    file.unlink()


def truncate(file: Path) -> None:
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])


async def registry_command(deployed: Deployed, *words: str) -> tuple[int | None, str]:
    address = deployed.stack.addresses.registry
    async with running("registry", *words, "--registry", address) as process:
        output = await output_of(process)
        return process.returncode, output


@pytest.mark.parametrize(
    ("damage", "told"),
    [(delete, "is missing from the artifact store"), (truncate, "bytes, registered were")],
)
async def test_a_rollback_to_a_damaged_version_is_refused_and_costs_no_call(
    tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        await deployed.operator.change(SetCanary(2, 1_000), reason="a challenger")
        await deployed.operator.until_settled(
            await deployed.operator.change(
                Promote(2, PolicySource.KEEP), reason="the former one stays warm"
            )
        )
        model = deployed.registry.get_version(MODEL, 1).files[0]
        stored = deployed.stack.directory.registry / "artifacts" / "sha256"
        file = stored / model.sha256[:2] / model.sha256
        whole = file.read_bytes()
        async with open_traffic(
            deployed.stack.addresses.router,
            model=MODEL,
            entity="patient",
            units=deployed.units,
            rate_per_s=50,
        ) as traffic:
            await traffic.until_ended(CALLS)
            damage(file)
            rollback = ("rollback", MODEL, "--to-revision", "1", "--expect-revision", "3")
            refused = await registry_command(deployed, *rollback, *REASON)
            await traffic.until_ended(traffic.ended + CALLS)
            revision = deployed.registry.get_deployment(MODEL).revision
            file.unlink(missing_ok=True)
            file.write_bytes(whole)
            done = await registry_command(deployed, *rollback, *REASON)
            await traffic.until_ended(traffic.ended + CALLS)
        blocked = await registry_command(deployed, "block", f"{MODEL}@2", *REASON)

    assert (refused[0], revision) == (REFUSED, 3)
    assert told in refused[1]
    assert (done[0], blocked[0]) == (OK, OK), (done, blocked)
    assert "in effect in 2 routers" in done[1]
    assert "in effect in 2 routers" in blocked[1]
    assert traffic.failures == []
