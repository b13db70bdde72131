"""The archive of a backup: what is written is read, and no byte changes without notice."""

import tarfile
from dataclasses import replace
from hashlib import sha256
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.backup_archive import MANIFEST, TABLES, ArchiveReader, archive_pieces, artifact_member
from registry.decisions.backup_manifest import BackupManifest, Content, manifest_from_document
from registry.store.schema import SCHEMA_VERSION
from registry.verify_backup import verify_backup
from understudy.domain.errors import CorruptedError, InvalidInputError, RefusedError

FILES = st.frozensets(st.binary(max_size=2_000), max_size=4)
TABLE_BYTES = st.binary(max_size=2_000)


def content_of(data: bytes) -> Content:
    return Content(sha256(data).hexdigest(), len(data))


def manifest_of(tables: bytes, files: frozenset[bytes]) -> BackupManifest:
    artifacts = sorted((content_of(each) for each in files), key=lambda each: each.sha256)
    return BackupManifest(
        schema=SCHEMA_VERSION,
        lineage="a-lineage",
        sequence=1 << 60,
        head="ab" * 32,
        made_ns=1_764_518_400_000_000_000,
        tables=content_of(tables),
        artifacts=tuple(artifacts),
    )


def archive_of(tables: bytes, files: frozenset[bytes], schema: int = SCHEMA_VERSION) -> bytes:
    by_digest = {sha256(each).hexdigest(): each for each in files}
    manifest = replace(manifest_of(tables, files), schema=schema)
    pieces = archive_pieces(manifest, BytesIO(tables), lambda digest: iter([by_digest[digest]]))
    return b"".join(pieces)


def read(archive: bytes) -> tuple[BackupManifest, bytes, list[bytes]]:
    reader, tables = ArchiveReader(BytesIO(archive)), bytearray()
    reader.copy_tables(tables.extend)
    files = []
    for content in reader.manifest.artifacts:
        file = bytearray()
        reader.copy_artifact(content, file.extend)
        files.append(bytes(file))
    reader.expect_end()
    return reader.manifest, bytes(tables), files


def members_of(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=BytesIO(archive)) as opened:
        return opened.getnames()


@given(TABLE_BYTES, FILES)
def test_an_archive_is_read_as_it_was_written(tables: bytes, files: frozenset[bytes]) -> None:
    archive = archive_of(tables, files)

    manifest, read_tables, read_files = read(archive)

    assert (manifest, read_tables) == (manifest_of(tables, files), tables)
    assert (frozenset(read_files), len(read_files)) == (files, len(files))


@given(TABLE_BYTES, FILES)
def test_any_tar_reads_an_archive(tables: bytes, files: frozenset[bytes]) -> None:
    names = [artifact_member(each) for each in manifest_of(tables, files).artifacts]

    with tarfile.open(fileobj=BytesIO(archive_of(tables, files))) as opened:
        assert opened.getnames() == [MANIFEST, TABLES, *names]
        member = opened.extractfile(TABLES)
        assert member is not None
        assert member.read() == tables


@given(TABLE_BYTES, FILES, st.data())
def test_a_changed_byte_is_refused(
    tables: bytes, files: frozenset[bytes], data: st.DataObject
) -> None:
    archive = bytearray(archive_of(tables, files))
    place = data.draw(st.integers(0, len(archive) - 1))
    archive[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises((CorruptedError, InvalidInputError)):
        read(bytes(archive))


@given(TABLE_BYTES, FILES, st.data())
def test_a_cut_or_longer_archive_is_refused(
    tables: bytes, files: frozenset[bytes], data: st.DataObject
) -> None:
    archive = archive_of(tables, files)
    kept = data.draw(st.integers(0, len(archive) - 1))

    for odd in (archive[:kept], archive + b"\0"):
        with pytest.raises((CorruptedError, InvalidInputError)):
            read(odd)


def test_a_refusal_names_the_member() -> None:
    archive = archive_of(b"rows", frozenset({b"model"}))
    (file,) = manifest_of(b"rows", frozenset({b"model"})).artifacts
    for name, data in (
        ("manifest.json", b"lineage"),
        (TABLES, b"rows"),
        (artifact_member(file), b"model"),
    ):
        place = archive.rindex(data) if name != "manifest.json" else archive.index(b"a-lineage")
        for odd in (archive[:place], archive[:place] + b"?" + archive[place + 1 :]):
            with pytest.raises(CorruptedError, match=name):
                read(odd)
    assert members_of(archive) == [MANIFEST, TABLES, artifact_member(file)]


def test_another_file_is_no_backup() -> None:
    for other in (b"", b"x" * 2_000, bytes(2_000)):
        with pytest.raises(InvalidInputError, match=r"accepted: a backup of a registry"):
            read(other)


@given(TABLE_BYTES, FILES, st.data())
def test_a_manifest_is_read_as_it_was_written_and_refused_with_another_character(
    tables: bytes, files: frozenset[bytes], data: st.DataObject
) -> None:
    text = manifest_of(tables, files).document
    assert manifest_from_document(text) == manifest_of(tables, files)

    place = data.draw(st.integers(0, len(text) - 1))
    odd = data.draw(st.characters(codec="ascii").filter(lambda each: each != text[place]))
    with pytest.raises(InvalidInputError, match="manifest"):
        manifest_from_document(text[:place] + odd + text[place + 1 :])


@pytest.mark.parametrize(
    ("schema", "way"),
    [
        (SCHEMA_VERSION - 1, "the release that made it, then upgrade its database$"),
        (SCHEMA_VERSION + 1, "the release that made it$"),
    ],
)
def test_a_backup_with_another_schema_is_refused_with_the_way_to_restore_it(
    schema: int, way: str
) -> None:
    archive = archive_of(b"rows of another schema", frozenset(), schema)

    with pytest.raises(RefusedError, match=f"has schema {schema}; .* {way}"):
        verify_backup(BytesIO(archive))
