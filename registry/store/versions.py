"""Registered versions and the feature views they read. Every function runs in a transaction."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from registry.decisions.recorded_objects import Act, version_digest
from registry.store.dialects import put_if_absent
from registry.store.schema import Row, feature_views, versions
from understudy.domain.canonical import canonical_json
from understudy.domain.errors import CorruptedError, NotFoundError
from understudy.domain.features import FeatureRef, FeatureView, view_from_canonical_json
from understudy.domain.snapshots import VersionSpec
from understudy.domain.version_content import content_digest_of
from understudy.domain.versions import ArtifactFile, ScoreOutput, TensorSpec, VersionRef

_MOST_NAMED_VIEWS = 500  # in one statement; beyond it, all are read


@dataclass(frozen=True, slots=True)
class StoredVersion:
    spec: VersionSpec
    provenance_json: str  # canonical
    registered_by: str
    registered_at_ns: int  # UTC, since 1970

    @property
    def digest(self) -> str:
        """A digest of everything in the version, with its author and time."""
        act = Act(self.registered_by, self.registered_at_ns)
        return version_digest(self.spec.ref, content_digest_of(self.spec), act)


def add_version(connection: Connection, version: StoredVersion) -> StoredVersion:
    """Write `version` under the model's next number and return it with that number."""
    spec = version.spec
    highest = select(func.coalesce(func.max(versions.c.number), 0)).where(
        versions.c.model == spec.ref.model
    )
    number: int = connection.execute(highest).scalar_one() + 1
    numbered = replace(version, spec=replace(spec, ref=VersionRef(spec.ref.model, number)))
    for view in spec.feature_views:
        row = view_row_of(view)
        keys = {name: row.pop(name) for name in ("name", "version")}
        put_if_absent(connection, feature_views, keys, row)
    connection.execute(versions.insert().values(**row_of(numbered)))
    return numbered


def with_content_of(connection: Connection, spec: VersionSpec) -> StoredVersion | None:
    """Return the model's first version with the same content, or None if there is none."""
    content = content_digest_of(spec)
    found = with_digests(connection, spec.ref.model, spec.artifact_digest, spec.provenance_digest)
    return next((each for each in found if content_digest_of(each.spec) == content), None)


def with_digests(
    connection: Connection, model: str, artifact_digest: str, provenance_digest: str
) -> list[StoredVersion]:
    """Return the model's versions of this artifact and record, in order of their numbers."""
    query = (
        select(versions)
        .where(
            versions.c.model == model,
            versions.c.artifact_digest == artifact_digest,
            versions.c.provenance_digest == provenance_digest,
        )
        .order_by(versions.c.number)
    )
    return _stored(connection, connection.execute(query).mappings().all())


def all_refs(connection: Connection) -> frozenset[VersionRef]:
    rows = connection.execute(select(versions.c.model, versions.c.number))
    return frozenset(VersionRef(model, number) for model, number in rows)


def models(connection: Connection) -> list[str]:
    """Return every model with a registered version, in order."""
    query = select(versions.c.model).distinct().order_by(versions.c.model)
    return list(connection.execute(query).scalars())


def artifact_digests(connection: Connection, model: str) -> dict[int, str]:
    """Return the artifact's digest of every registered version of a model."""
    columns = versions.c.number, versions.c.artifact_digest
    rows = connection.execute(select(*columns).where(versions.c.model == model))
    return {row.number: row.artifact_digest for row in rows}


def files_of_all(
    connection: Connection,
) -> Iterator[tuple[VersionRef, int, tuple[ArtifactFile, ...]]]:
    """Yield every version with the time of its registration, in ns since 1970, and its files."""
    table = versions.c
    query = select(table.model, table.number, table.registered_at_ns, table.files_json)
    for model, number, at_ns, text in connection.execute(query):
        files = tuple(ArtifactFile(**file) for file in json.loads(text))
        yield VersionRef(model, number), at_ns, files


def specs_of(connection: Connection, model: str, numbers: Sequence[int]) -> tuple[VersionSpec, ...]:
    """Return versions of a model, in order of their numbers.

    Raises:
        NotFoundError: one of them does not exist.
        CorruptedError: one of their feature views is not stored.
    """
    query = (
        select(versions)
        .where(versions.c.model == model, versions.c.number.in_(numbers))
        .order_by(versions.c.number)
    )
    found = _stored(connection, connection.execute(query).mappings().all())
    if missing := set(numbers) - {each.spec.ref.number for each in found}:
        raise NotFoundError("version", VersionRef(model, min(missing)))
    return tuple(each.spec for each in found)


def numbers_of(connection: Connection, model: str) -> frozenset[int]:
    rows = connection.execute(select(versions.c.number).where(versions.c.model == model))
    return frozenset(rows.scalars())


def view_digests(connection: Connection) -> dict[str, str]:
    """Return digest by view@version of every view that a registered version reads."""
    table = feature_views.c
    rows = connection.execute(select(table.name, table.version, table.digest))
    return {f"{name}@{version}": digest for name, version, digest in rows}


def list_versions(connection: Connection, model: str | None = None) -> list[StoredVersion]:
    query = select(versions).order_by(versions.c.model, versions.c.number)
    if model is not None:
        query = query.where(versions.c.model == model)
    rows = connection.execute(query).mappings().all()
    return _stored(connection, rows)


def page_of(
    connection: Connection, model: str | None, *, after: VersionRef | None, limit: int
) -> list[StoredVersion]:
    """Return the first `limit` versions, or the first after `after`, by model and number."""
    query = select(versions).order_by(versions.c.model, versions.c.number).limit(limit)
    if model is not None:
        query = query.where(versions.c.model == model)
    if after is not None:
        key = tuple_(versions.c.model, versions.c.number)
        query = query.where(key > tuple_(after.model, after.number))
    return _stored(connection, connection.execute(query).mappings().all())


def get_version(connection: Connection, ref: VersionRef) -> StoredVersion:
    """Return a version.

    Raises:
        NotFoundError: it does not exist.
        CorruptedError: one of its feature views is not stored.
    """
    query = select(versions).where(versions.c.model == ref.model, versions.c.number == ref.number)
    rows = connection.execute(query).mappings().all()
    if not rows:
        raise NotFoundError("version", ref)
    return _stored(connection, rows)[0]


def row_of(version: StoredVersion) -> dict[str, Any]:
    """Return the columns of a version."""
    spec = version.spec
    return {
        "model": spec.ref.model,
        "number": spec.ref.number,
        "artifact_digest": spec.artifact_digest,
        "files_json": _json(spec.files),
        "provenance_digest": spec.provenance_digest,
        "provenance_json": version.provenance_json,
        "inputs_json": _json(spec.inputs),
        "outputs_json": _json(spec.outputs),
        "feature_set_json": canonical_json([str(ref) for ref in spec.feature_set]),
        "view_names_json": canonical_json([[v.name, v.version] for v in spec.feature_views]),
        "score_output": spec.score_output.output,
        "score_column": spec.score_output.column,
        "golden_tolerance": spec.golden_tolerance,
        "column_inputs_json": canonical_json(list(spec.column_inputs)),
        "joins_rows": spec.joins_rows,
        "registered_by": version.registered_by,
        "registered_at_ns": version.registered_at_ns,
    }


def view_row_of(view: FeatureView) -> dict[str, Any]:
    """Return the columns of a feature view."""
    return {
        "name": view.name,
        "version": view.version,
        "digest": view.digest,
        "canonical_json": view.canonical_json,
    }


def _json(parts: Iterable[ArtifactFile | TensorSpec]) -> str:
    return canonical_json([asdict(part) for part in parts])


def _stored(connection: Connection, rows: Sequence[Row]) -> list[StoredVersion]:
    if not rows:
        return []
    table = feature_views.c
    named = {(name, v) for row in rows for name, v in json.loads(row["view_names_json"])}
    query = select(table.name, table.version, table.canonical_json)
    if len(named) <= _MOST_NAMED_VIEWS:
        query = query.where(tuple_(table.name, table.version).in_(sorted(named)))
    views = {
        (name, version): view_from_canonical_json(text)
        for name, version, text in connection.execute(query)
        if (name, version) in named
    }
    return [version_from_row(row, views) for row in rows]


def version_from_row(row: Row, views: Mapping[tuple[str, int], FeatureView]) -> StoredVersion:
    """Return the version that `row_of` wrote.

    Raises:
        InvalidInputError, ValueError, KeyError, TypeError: no registry wrote the row.
        CorruptedError: a view that it names is not among `views`.
    """
    spec = VersionSpec(
        ref=VersionRef(row["model"], row["number"]),
        artifact_digest=row["artifact_digest"],
        files=tuple(ArtifactFile(**file) for file in json.loads(row["files_json"])),
        provenance_digest=row["provenance_digest"],
        inputs=_tensors(row["inputs_json"]),
        outputs=_tensors(row["outputs_json"]),
        feature_set=tuple(FeatureRef.parse(t) for t in json.loads(row["feature_set_json"])),
        feature_views=tuple(_views_of(row, views)),
        score_output=ScoreOutput(row["score_output"], row["score_column"]),
        golden_tolerance=row["golden_tolerance"],
        column_inputs=tuple(json.loads(row["column_inputs_json"])),
        joins_rows=bool(row["joins_rows"]),
    )
    return StoredVersion(
        spec, row["provenance_json"], row["registered_by"], row["registered_at_ns"]
    )


def _views_of(row: Row, views: Mapping[tuple[str, int], FeatureView]) -> Iterator[FeatureView]:
    for name, version in json.loads(row["view_names_json"]):
        view = views.get((name, version))
        if view is None:
            ref = VersionRef(row["model"], row["number"])
            raise CorruptedError(f"{ref} reads the view {name}@{version}, which is not stored")
        yield view


def _tensors(text: str) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(each["name"], each["datatype"], tuple(each["shape"]))
        for each in json.loads(text)
    )
