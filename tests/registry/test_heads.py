"""A head that was kept elsewhere finds a log that was rewritten or cut, from an export alone."""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from registry.app import open_registry
from registry.decisions.audit_head import AuditHead, head_faults, head_from_document
from registry.export import exported_lines
from registry.settings import RegistrySettings
from registry.store.audit_log import entry_from_row
from registry.store.database import open_database, reading
from registry.store.refusals import row_from_row
from registry.store.revisions import revision_from_row
from registry.verify_export import verify_export
from tests.registry.operator import Operator, failure_of, running_registry, running_server
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import DeployChampion, Rollback, SetCanary
from understudy.domain.errors import InvalidInputError
from understudy.provenance.dsse import AUDIT_HEAD_TYPE, envelope_from_json
from understudy.provenance.signing_keys import SigningKeys, TrustedKeys, new_private_key
from understudy.registry.v1 import registry_pb2 as pb

KEY = new_private_key()
TRUSTED = TrustedKeys.read(SigningKeys.read(KEY, "key").public_pem, "key")


def export_of(directory: Path) -> list[str]:
    engine = open_database(directory / "registry.sqlite")
    try:
        with reading(engine) as connection:
            return list(exported_lines(connection))
    finally:
        engine.dispose()


def head_of(line: str) -> AuditHead:
    payload = TRUSTED.payload_of(envelope_from_json(line), AUDIT_HEAD_TYPE)
    return head_from_document(payload.decode())


async def signed_head(operator: Operator) -> AuditHead:
    response = await operator.stub.GetAuditHead(pb.GetAuditHeadRequest())
    assert head_of(response.envelope_json) == head_from_document(response.document)
    return head_of(response.envelope_json)


@pytest.fixture
async def kept(seeded: Path) -> tuple[Path, list[AuditHead]]:
    """Return the directory of a stopped registry with four rows, and heads of the rows 3 and 4."""
    async with running_registry(seeded, signing_key=KEY) as channel:
        operator = Operator(channel)
        await operator.change(DeployChampion(1))
        heads = [await signed_head(operator)]
        await operator.change(SetCanary(2, 500))
        heads.append(await signed_head(operator))
    return seeded, heads


async def test_a_log_that_grew_continues_its_heads(kept: tuple[Path, list[AuditHead]]) -> None:
    directory, heads = kept
    async with running_registry(directory) as channel:
        await Operator(channel).change(SetCanary(2, 600))

    found = verify_export(export_of(directory), heads)

    assert [head.sequence for head in heads] == [3, 4]
    assert (found.audit_rows, found.faults) == (5, ())


@pytest.mark.fault
def test_a_cut_tail_is_found_though_the_rest_is_sound(kept: tuple[Path, list[AuditHead]]) -> None:
    directory, heads = kept
    with unlocked(directory) as database:
        database.execute("DELETE FROM audit WHERE sequence = 4")
        database.execute("DELETE FROM revisions WHERE revision = 2")
        database.execute("DELETE FROM named_versions WHERE number = 2")
        database.execute("UPDATE named_versions SET champion_in = 1")

    export = export_of(directory)

    assert verify_export(export, []).faults == ()
    assert verify_export(export, heads[:1]).faults == ()
    (fault,) = verify_export(export, heads).faults
    assert "ends at row 3" in fault


@pytest.mark.fault
def test_a_chain_that_was_rewritten_as_a_whole_is_found(kept: tuple[Path, list[AuditHead]]) -> None:
    directory, heads = kept
    with unlocked(directory) as database:
        rewrite_the_last_change(database)

    export = export_of(directory)

    assert verify_export(export, []).faults == ()
    (fault,) = verify_export(export, heads).faults
    assert "another digest of row 4" in fault


@pytest.mark.fault
def test_a_log_of_another_registry_continues_no_head(
    kept: tuple[Path, list[AuditHead]], two_versions: Path
) -> None:
    found = verify_export(export_of(two_versions), kept[1])

    assert len(found.faults) == 2


@pytest.mark.fault
@pytest.mark.parametrize(
    ("lines", "named"), [([], "line 1"), (["{}"], "line 1"), (["cut", "off"], "line 1")]
)
def test_a_text_that_is_no_export_is_refused(lines: list[str], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        verify_export(lines, [])


@pytest.mark.fault
def test_a_line_that_is_missing_from_an_export_is_a_fault(
    kept: tuple[Path, list[AuditHead]],
) -> None:
    export = export_of(kept[0])
    missed = [
        number
        for number in range(1, len(export))
        if not verify_export([*export[:number], *export[number + 1 :]], []).faults
    ]

    assert missed == []


@pytest.fixture
async def refused(seeded: Path) -> tuple[Path, list[AuditHead]]:
    """Return the directory of a stopped registry with two refused attempts, and a head after each."""
    heads = []
    async with running_server(seeded, signing_key=KEY) as (opened, channel):
        operator = Operator(channel)
        await operator.change(DeployChampion(1))
        for refused in (operator.change(DeployChampion(1)), operator.change(Rollback())):
            await failure_of(refused)
            await opened.refusals.write()
            heads.append(await signed_head(operator))
    return seeded, heads


async def test_refused_attempts_that_grew_continue_their_heads(
    refused: tuple[Path, list[AuditHead]],
) -> None:
    directory, heads = refused

    assert [(head.sequence, head.refusals) for head in heads] == [(3, 1), (3, 2)]
    assert verify_export(export_of(directory), heads).faults == ()


@pytest.mark.fault
async def test_refused_attempts_that_were_cut_off_are_found(
    refused: tuple[Path, list[AuditHead]],
) -> None:
    directory, heads = refused
    with unlocked(directory) as database:
        database.execute("DELETE FROM refusals WHERE sequence = 2")
        database.execute("UPDATE registry SET value = 1 WHERE name = 'refusals'")

    (fault,) = faults_by_the_last_head(directory, heads)
    assert "row 2; the record of refused attempts ends at row 1" in fault


@pytest.mark.fault
async def test_refused_attempts_that_were_rewritten_are_found(
    refused: tuple[Path, list[AuditHead]],
) -> None:
    directory, heads = refused
    with unlocked(directory) as database:
        stored = dict(database.execute("SELECT * FROM refusals WHERE sequence = 2").fetchone())
        row, _ = row_from_row(stored)
        forged = replace(row, actor="another")
        database.execute(
            "UPDATE refusals SET actor = ?, digest = ? WHERE sequence = 2",
            (forged.actor, forged.digest),
        )

    (fault,) = faults_by_the_last_head(directory, heads)
    assert "another digest of row 2: the record of refused attempts was rewritten" in fault


def faults_by_the_last_head(directory: Path, heads: list[AuditHead]) -> tuple[str, ...]:
    """Return the faults of an export by all heads, which has none by those before the last."""
    export = export_of(directory)
    assert verify_export(export, heads[:-1]).faults == ()
    return verify_export(export, heads).faults


CHAINS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), max_size=6, unique=True)


@given(kept=st.tuples(CHAINS, CHAINS), found=st.tuples(CHAINS, CHAINS), grown=CHAINS)
def test_a_head_is_continued_by_its_own_chains_and_longer_ones_alone(
    kept: tuple[list[str], list[str]], found: tuple[list[str], list[str]], grown: list[str]
) -> None:
    genesis = "g"
    ends = [(len(chain), [genesis, *chain][-1]) for chain in kept]
    head = AuditHead("lineage", *ends[0], *ends[1], at_ns=0)

    def faults_of(log: list[str], refusals: list[str]) -> list[str]:
        log_rows, refused_rows = (dict(enumerate(each, start=1)) for each in (log, refusals))
        return list(head_faults([head], log_rows, refused_rows, genesis))

    assert head_from_document(head.document) == head
    assert faults_of(*(chain + grown for chain in kept)) == []
    wrong = [
        len(present) < len(was) or (bool(was) and present[len(was) - 1] != was[-1])
        for was, present in zip(kept, found, strict=True)
    ]
    assert len(faults_of(*found)) == sum(wrong)


async def test_a_head_is_anchored_again_when_an_attempt_was_refused(
    seeded: Path, tmp_path: Path
) -> None:
    file = tmp_path / "heads.jsonl"
    async with running_server(seeded, signing_key=KEY, anchor_path=file) as (opened, channel):
        assert opened.anchors is not None
        await opened.anchors.anchor()
        await failure_of(Operator(channel).change(Rollback()))
        await opened.refusals.write()
        await opened.anchors.anchor()

    assert [head_of(line).refusals for line in file.read_text().splitlines()] == [0, 1]


async def test_heads_are_anchored_in_a_file_and_by_a_command(seeded: Path, tmp_path: Path) -> None:
    file, taken = tmp_path / "heads.jsonl", tmp_path / "taken.json"
    script = tmp_path / "take.py"
    script.write_text(
        f"import pathlib, sys; pathlib.Path({str(taken)!r}).write_text(sys.stdin.read())"
    )
    settings = RegistrySettings(
        unproven=True,
        dir=seeded,
        listen="127.0.0.1:0",
        signing_key=KEY,
        anchor_path=file,
        anchor_command=f"{sys.executable} {script}",
    )
    async with open_registry(settings) as opened:
        assert opened.anchors is not None
        await opened.anchors.anchor()
        await opened.anchors.anchor()  # no row was added: nothing to keep

    (line,) = file.read_text().splitlines()
    assert taken.read_text() == f"{line}\n"
    assert head_of(line).sequence == 2
    assert verify_export(export_of(seeded), [head_of(line)]).faults == ()


@pytest.mark.parametrize(
    "given", [{"anchor_path": "heads"}, {"anchor_command": "true"}, {"anchor_every_s": 60.0}]
)
def test_anchors_that_would_not_act_are_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="anchor_"):
        RegistrySettings(unproven=True, dir=tmp_path, **given)


@contextmanager
def unlocked(directory: Path) -> Iterator[sqlite3.Connection]:
    """Open the database of a stopped registry, without its triggers until the block ends."""
    with closing(sqlite3.connect(directory / "registry.sqlite")) as database:
        database.row_factory = sqlite3.Row
        listed = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        triggers = database.execute(listed).fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        yield database
        for _, sql in triggers:
            database.execute(sql)
        database.commit()


def rewrite_the_last_change(database: sqlite3.Connection) -> None:
    """Give the last revision another reason, and make its row and the chain agree with that."""
    last = "SELECT * FROM {} ORDER BY at_ns DESC, rowid DESC LIMIT 1"
    revision = dict(database.execute(last.format("revisions")).fetchone())
    entry = entry_from_row(dict(database.execute(last.format("audit")).fetchone()))
    forged = revision_from_row({**revision, "reason": "another"})
    details = {**json.loads(entry.row.details_json), "digest": forged.digest}
    row = replace(entry.row, reason="another", details_json=canonical_json(details))
    database.execute(
        "UPDATE revisions SET reason = ? WHERE revision = ?", ("another", revision["revision"])
    )
    database.execute(
        "UPDATE audit SET reason = ?, details_json = ?, digest = ? WHERE sequence = ?",
        ("another", row.details_json, row.digest, row.sequence),
    )
