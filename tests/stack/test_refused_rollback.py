"""Rollbacks to versions that cannot act are refused, and traffic stays as it is: real processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stack.traffic import Traffic, open_traffic
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.earlier_build import DOMAIN, write_past
from tests.stack.understudy_command import output_of, running
from understudy.domain.changes import PolicySource, Promote, SetCanary
from understudy.domain.versions import MODEL_FILE
from understudy.runtime.exit_codes import OK, REFUSED

pytestmark = [pytest.mark.fault, pytest.mark.long]
MODEL = "cancer"
CALLS = 50
CURRENT = 4  # revision; its champion is version 3, and that of revision 2 is version 2
REASON = ("--reason", "a test")


def delete(file: Path) -> None:
    file.unlink()


def truncate(file: Path) -> None:
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])


def exchange(file: Path) -> None:
    """Change a byte, and not the length."""
    content = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


DAMAGES: dict[Callable[[Path], None], str] = {
    delete: "is missing from the artifact store",
    truncate: "bytes, registered were",
    exchange: "reads as sha256",
}


async def registry_command(deployed: Deployed, *words: str) -> tuple[int | None, str]:
    address = deployed.stack.addresses.registry
    async with running("registry", *words, "--registry", address) as process:
        output = await output_of(process)
        return process.returncode, output


async def rollback(deployed: Deployed, traffic: Traffic, revision: int) -> tuple[int | None, str]:
    """Roll back under traffic; return once more calls have ended."""
    bound = ("--to-revision", str(revision), "--expect-revision", str(CURRENT))
    done = await registry_command(deployed, "rollback", MODEL, *bound, *REASON)
    await traffic.until_ended(traffic.ended + CALLS)
    return done


def model_file(deployed: Deployed, version: int) -> Path:
    files = deployed.registry.get_version(MODEL, version).files
    sha256 = next(each.sha256 for each in files if each.path == MODEL_FILE)
    return deployed.stack.directory.registry / "artifacts" / "sha256" / sha256[:2] / sha256


async def test_rollbacks_to_deleted_cut_and_unloadable_versions_are_refused_and_cost_no_call(
    tmp_path: Path,
) -> None:
    async with open_deployed(tmp_path / "s", versions=2, past=write_past) as deployed:
        await deployed.operator.change(SetCanary(3, 1_000), reason="a challenger")
        await deployed.operator.until_settled(
            await deployed.operator.change(
                Promote(3, PolicySource.KEEP), reason="the former one stays warm"
            )
        )
        file = model_file(deployed, 2)
        whole = file.read_bytes()
        async with open_traffic(
            deployed.stack.addresses.router,
            model=MODEL,
            entity="patient",
            units=deployed.units,
            rate_per_s=50,
        ) as traffic:
            await traffic.until_ended(CALLS)
            refused = {}
            for damage, told in DAMAGES.items():
                damage(file)
                refused[told] = await rollback(deployed, traffic, 2)
                file.unlink(missing_ok=True)
                file.write_bytes(whole)
            refused[DOMAIN] = await rollback(deployed, traffic, 1)
            listed = await registry_command(deployed, "rollback", MODEL, "--list")
            revision = deployed.registry.get_deployment(MODEL).revision
            verified = deployed.registry.verify()
            done = await rollback(deployed, traffic, 2)
        blocked = await registry_command(deployed, "block", f"{MODEL}@3", *REASON)

    for told, (code, output) in refused.items():
        assert code == REFUSED, output
        assert told in output
    assert revision == CURRENT
    assert not verified.faults  # the version that does not load is whole, by its digest
    assert f"NO: {MODEL}@1: " in listed[1]
    assert (done[0], blocked[0]) == (OK, OK), (done, blocked)
    assert "in effect in 2 routers" in done[1]
    assert "in effect in 2 routers" in blocked[1]
    assert traffic.failures == []
