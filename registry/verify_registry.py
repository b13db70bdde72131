"""Verification of the registry: every row against the audit log, every artifact byte against its row.

The tables are judged as plain rows, so that an export can be judged without the registry.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from registry.decisions.audit_chain import RecordedRow, first_break
from registry.decisions.recorded_objects import Kind, Subject, discrepancies, objects_of
from registry.decisions.refusals import RefusalRow, first_broken
from registry.store import (
    audit_log,
    lineage,
    marks,
    refusals,
    revisions,
    schema,
    tags,
    versions,
    votes,
)
from registry.store.artifacts import ArtifactStore
from registry.store.raw_rows import altered_objects, raw_rows
from registry.store.schema import Row
from registry.store.versions import StoredVersion
from understudy.domain.canonical import digest_of_text
from understudy.domain.deployments import Deployment
from understudy.domain.errors import CorruptedError, InvalidInputError
from understudy.domain.features import FeatureView, view_from_canonical_json
from understudy.domain.versions import VersionRef, artifact_digest

Tables = Callable[[str], Iterable[Mapping[str, Any]]]  # the rows of a table, by its name
Pace = Callable[[Iterable[Mapping[str, Any]]], Iterable[Mapping[str, Any]]]
_FAULTS_NAMED = 5
UNREADABLE = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    RecursionError,
    OverflowError,
    CorruptedError,
    InvalidInputError,
)


class _Digested(Protocol):
    @property
    def digest(self) -> str: ...


DigestedT = TypeVar("DigestedT", bound=_Digested)


@dataclass(frozen=True, slots=True)
class VerifiedTables:
    """The log, the readable versions, and all faults; no faults if the registry is intact."""

    recorded: tuple[RecordedRow, ...]
    versions: tuple[StoredVersion, ...]
    revisions: int  # that were read
    faults: tuple[str, ...]
    refusals: Mapping[int, str]  # digests of the rows of refused attempts, by number
    collected: frozenset[VersionRef]  # versions whose artifact was collected


@dataclass(frozen=True, slots=True)
class VerifiedFiles:
    """The artifact files of some versions, each once."""

    files: int  # those of collected artifacts that are gone are not counted
    size_bytes: int  # as registered
    faults: tuple[str, ...]
    collected: tuple[VersionRef, ...]  # versions whose artifact was collected, at least in part


def verify_database(connection: Connection, *, pace: Pace = lambda rows: rows) -> VerifiedTables:
    """Verify the tables of a database, and that it has these tables and their triggers.

    Args:
        connection: in a transaction that reads.
        pace: hands on the rows of a table, perhaps slowly.
    """
    found = verify_tables(lambda table: pace(raw_rows(connection, table)))
    return replace(found, faults=(*found.faults, *schema_faults(connection)))


def schema_faults(connection: Connection) -> list[str]:
    """Return a fault for each table and trigger that is missing, altered or added."""
    return [f"{each} is not that of the schema" for each in altered_objects(connection)]


def verify_tables(tables: Tables) -> VerifiedTables:
    """Verify the chain of the log, and all other tables against it."""
    return _Judge(tables).verified()


def first_faults(faults: Sequence[str]) -> str:
    """Return the first faults, and the number of the others, as one text."""
    more = [f"and {len(faults) - _FAULTS_NAMED} more"] if len(faults) > _FAULTS_NAMED else []
    return "; ".join([*faults[:_FAULTS_NAMED], *more])


def verify_artifacts(
    artifacts: ArtifactStore,
    stored: Iterable[StoredVersion],
    collected: Collection[VersionRef] = (),
) -> VerifiedFiles:
    """Read and hash every file of the versions anew; blocks.

    Args:
        artifacts: the files.
        stored: the versions.
        collected: those whose files may be gone; a file that is there must be whole.

    Raises:
        UnavailableError: a file that is there cannot be read.
    """
    done: dict[str, int] = {}
    faults: list[str] = []
    gone: list[VersionRef] = []
    for version in stored:
        files = [file for file in version.spec.files if file.sha256 not in done]
        if version.spec.ref in collected:
            there = [file for file in files if artifacts.has(file.sha256)]
            gone += [version.spec.ref] * (len(there) < len(files))
            files = there
        done |= {file.sha256: file.size_bytes for file in files}
        faults += [f"{version.spec.ref}: {fault}" for fault in artifacts.faults_of(files)]
    return VerifiedFiles(len(done), sum(done.values()), tuple(faults), tuple(gone))


@dataclass(slots=True)
class _Judge:
    tables: Tables
    faults: list[str] = field(default_factory=list)
    present: dict[Subject, str] = field(default_factory=dict)

    def verified(self) -> VerifiedTables:
        self._settings()
        lineages = self._read("lineage", lineage.lineage_from_row, lineage.row_of)
        for each in lineages[1:]:  # the log itself continues the first
            self.present[Subject(Kind.LINEAGE, "", each.place)] = each.digest
        stored = self._versions()
        marked = self._read("marks", marks.mark_from_row, marks.row_of)
        for mark in marked:
            self.present[Subject(mark.kind, mark.ref.model, mark.ref.number)] = mark.digest
        collected = frozenset(each.ref for each in marked if each.kind is Kind.COLLECTION)
        self._votes()
        for tag in self._read("tags", tags.tag_from_row, tags.row_of):
            self.present[Subject(Kind.TAG, tag.ref.model, 0, name=tag.name)] = tag.digest
        count = self._revisions()
        recorded = tuple(audit_log.entry_from_row(row) for row in self.tables("audit"))
        refused = self._refusals(lineages[0].digest if lineages else "")
        self._compare(recorded, lineages[0].digest if lineages else "")
        return VerifiedTables(
            recorded, tuple(stored), count, tuple(self.faults), refused, collected
        )

    def _compare(self, recorded: Sequence[RecordedRow], genesis: str) -> None:
        ledger = objects_of(recorded)
        broken_at = first_break(recorded, genesis)
        if broken_at is not None:
            self.faults.insert(0, f"the chain breaks at row {broken_at}")
        self.faults += [*ledger.faults, *discrepancies(ledger.objects, self.present)]

    def _refusals(self, genesis: str) -> Mapping[int, str]:
        rows = self._read("refusals", _refusal_from_row, _refusal_row_of)
        broken_at = first_broken([(each.row, each.stored) for each in rows], genesis)
        if broken_at is not None:
            self.faults.append(f"the chain of refusals breaks at row {broken_at}")
        return {each.row.sequence: each.stored for each in rows}

    def _settings(self) -> None:
        found = [(row["name"], row["value"]) for row in self.tables("registry")]
        rows = len(list(self.tables("refusals")))
        expected = [("schema_version", schema.SCHEMA_VERSION)]
        expected = [*([(refusals.COUNT, rows)] if rows else []), *expected]
        if sorted(found, key=str) != expected:
            accepted = ", ".join(f"{name} {value}" for name, value in expected)
            self.faults.append(f"table registry: read {found}; accepted: {accepted}")

    def _versions(self) -> list[StoredVersion]:
        views = {
            (view.name, view.version): view
            for view in self._read("feature_views", _view_from_row, versions.view_row_of)
        }
        found = self._read(
            "versions", lambda row: versions.version_from_row(row, views), versions.row_of
        )
        for each in found:
            spec = each.spec
            self.present[Subject(Kind.VERSION, spec.ref.model, spec.ref.number)] = each.digest
            if artifact_digest(spec.files) != spec.artifact_digest:
                self.faults.append(f"version {spec.ref}: files_json is not the artifact's")
            if digest_of_text(each.provenance_json) != spec.provenance_digest:
                self.faults.append(f"version {spec.ref}: provenance_json is not the record")
        read = {(view.name, view.version) for each in found for view in each.spec.feature_views}
        unread = sorted(views.keys() - read)
        self.faults += [f"feature view {name}@{n} is read by no version" for name, n in unread]
        return found

    def _votes(self) -> None:
        for vote in self._read("votes", votes.vote_from_row, votes.row_of):
            subject = Subject(Kind.VOTE, vote.ref.model, vote.ref.number, vote.place)
            self.present[subject] = vote.digest
        for policy in self._read("approval_policies", votes.policy_from_row, votes.policy_row_of):
            subject = Subject(Kind.APPROVAL_POLICY, policy.model, policy.place)
            self.present[subject] = policy.digest

    def _revisions(self) -> int:
        found = self._read("revisions", revisions.revision_from_row, revisions.row_of)
        for each in found:
            deployment = each.deployment
            subject = Subject(Kind.REVISION, deployment.model, deployment.revision)
            self.present[subject] = each.digest
        self._names(each.deployment for each in found)
        return len(found)

    def _names(self, history: Iterable[Deployment]) -> None:
        written = revisions.names_in(history)
        for row in self.tables("named_versions"):
            content = tuple(row.values())
            if written.pop(content[:2], None) != content[2]:
                self.faults.append(f"{_named('named_versions', row)}: not that of the revisions")
        missing = (f"{model}@{number}" for model, number in written)
        self.faults += [f"{each} is missing in table named_versions" for each in missing]

    def _read(
        self,
        table: str,
        decode: Callable[[Row], DigestedT],
        encode: Callable[[DigestedT], dict[str, Any]],
    ) -> list[DigestedT]:
        """Return the readable rows of a table; add a fault for each that no registry wrote."""
        found = []
        for row in self.tables(table):
            try:
                _check_plain(row)
                value = decode(row)
                written = encode(value)
                _ = value.digest  # of any value that a registry wrote
            except UNREADABLE:
                self.faults.append(f"{_named(table, row)} cannot be read")
                continue
            if odd := [name for name in row if (name, row[name]) not in written.items()]:
                self.faults.append(f"{_named(table, row)}: {', '.join(odd)} not as written")
            found.append(value)
        return found


@dataclass(frozen=True, slots=True)
class _Refusals:
    """A row of the chain of refused attempts, and its stored digest."""

    row: RefusalRow
    stored: str

    @property
    def digest(self) -> str:
        return self.row.digest


def _refusal_from_row(row: Row) -> _Refusals:
    return _Refusals(*refusals.row_from_row(row))


def _refusal_row_of(read: _Refusals) -> dict[str, Any]:
    return refusals.row_of((read.row, read.stored))


def _check_plain(row: Row) -> None:
    """Raise ValueError or TypeError if a column has bytes, no value, or text that is not Unicode."""
    for name, value in row.items():
        if isinstance(value, str):
            value.encode()
        elif not isinstance(value, int | float):
            raise TypeError(f"{name}: read {type(value).__name__}; accepted: text or a number")


def _view_from_row(row: Row) -> FeatureView:
    return view_from_canonical_json(row["canonical_json"])


def _named(table: str, row: Row) -> str:
    keys = [str(row.get(column.name)) for column in schema.metadata.tables[table].primary_key]
    return f"row {'@'.join(keys)} of table {table}"
