"""The artifact store keeps complete files under their digest, and nothing else."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from registry.store.artifact_objects import FolderObjects
from registry.store.artifacts import ArtifactStore
from tests.registry.faults import full_disk
from tests.registry.operator import files_below
from understudy.domain.errors import (
    CorruptedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from understudy.domain.versions import ArtifactFile

CONTENT = b"weights" * 400_000  # read in several pieces


def path_in(root: Path, digest: str) -> Path:
    return FolderObjects(root / "sha256").path_of(digest)


def kept(store: ArtifactStore, content: bytes = CONTENT) -> ArtifactFile:
    with store.stage() as staging:
        target = staging.open_file("model.onnx")
        target.write(content)
        file = target.close()
        store.keep(staging, [file])
    return file


def test_a_file_is_found_by_its_digest(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    file = kept(store)

    assert file.sha256 == sha256(CONTENT).hexdigest()
    assert b"".join(store.read(file.sha256)) == CONTENT
    assert files_below(tmp_path) == [path_in(tmp_path, file.sha256)]


def test_the_same_content_is_stored_once(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    assert kept(store) == kept(store)
    assert len(files_below(tmp_path)) == 1


def test_a_corrupted_file_is_never_read_to_its_end(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    path = path_in(tmp_path, kept(store).sha256)
    path.chmod(0o644)
    path.write_bytes(CONTENT[:-1] + b"X")
    received: list[bytes] = []

    with pytest.raises(CorruptedError):
        received.extend(store.read(path.name))

    assert sum(map(len, received)) < len(CONTENT)


def test_a_corrupted_file_is_healed_by_the_next_upload(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    path = path_in(tmp_path, kept(store).sha256)
    path.chmod(0o644)
    path.write_bytes(b"X" * len(CONTENT))

    kept(store)

    assert b"".join(store.read(path.name)) == CONTENT


def test_an_incomplete_upload_leaves_nothing(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def break_off() -> None:
        with store.stage() as staging:
            target = staging.open_file("model.onnx")
            target.write(CONTENT)
            target.abandon()
            raise ConnectionError

    with pytest.raises(ConnectionError):
        break_off()

    assert files_below(tmp_path) == []


@pytest.mark.fault
def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with store.stage() as staging:
        target = staging.open_file("model.onnx")

        with full_disk(100_000), pytest.raises(UnavailableError, match="no space left"):
            target.write(CONTENT)

        target.abandon()
    assert files_below(tmp_path) == []


@pytest.mark.fault
def test_a_disk_that_is_full_at_the_last_bytes_is_reported(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    with store.stage() as staging:
        target = staging.open_file("model.onnx")
        target.write(b"x" * 2_000)  # stays in the buffer
        with full_disk(1_000), pytest.raises(UnavailableError, match="no space left"):
            target.close()

    assert files_below(tmp_path) == []


def test_unfinished_uploads_of_an_earlier_process_are_removed(tmp_path: Path) -> None:
    first = ArtifactStore(tmp_path)
    first.stage().open_file("model.onnx").abandon()
    os.close(first._staging._lock)  # as if the process were killed

    second = ArtifactStore(tmp_path)

    assert files_below(tmp_path) == []
    assert not first._staging.directory.exists()
    second.close()


def test_a_registry_that_starts_leaves_the_uploads_of_a_running_one(tmp_path: Path) -> None:
    first = ArtifactStore(tmp_path)
    with first.stage() as staging:
        target = staging.open_file("model.onnx")
        target.write(CONTENT)

        ArtifactStore(tmp_path).close()

        first.keep(staging, [target.close()])
    first.close()
    assert len(files_below(tmp_path)) == 1


@pytest.mark.parametrize("digest", ["", "abc", "../../etc/passwd", "G" * 64])
def test_only_a_digest_names_a_file(tmp_path: Path, digest: str) -> None:
    with pytest.raises(InvalidInputError):
        list(ArtifactStore(tmp_path).read(digest))


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        list(ArtifactStore(tmp_path).read("ab" * 32))


def test_a_directory_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UnavailableError):
        ArtifactStore(tmp_path / "file")


def test_nothing_is_written_to_a_staging_directory_after_its_end(tmp_path: Path) -> None:
    with ArtifactStore(tmp_path).stage() as staging:
        pass

    for path in ("model.onnx", "data/weights.bin"):
        with pytest.raises(UnavailableError):
            staging.open_file(path)
    assert not staging.directory.exists()


def test_files_may_lie_in_folders(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with store.stage() as staging:
        staging.open_file("a/b/w.bin").close()
        staging.open_file("a/v.bin").close()

        names = [str(path.relative_to(staging.directory)) for path in files_below(tmp_path)]

    assert sorted(names) == ["a/b/w.bin", "a/v.bin"]
