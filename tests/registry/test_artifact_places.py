"""The contract of the places of artifact files: a folder, and a bucket."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore
from obstore.store import ObjectStore as Bucket
from pydantic import ValidationError

from registry.settings import RegistrySettings
from registry.store.artifact_objects import FolderObjects, Objects
from registry.store.artifacts import ArtifactStore
from registry.store.s3_objects import BucketObjects, open_artifact_bucket
from tests.registry.commands import REASON, command
from tests.registry.operator import Operator, running_registry
from tests.registry.samples import ACTOR, new_version, trained
from tests.registry.test_artifacts import kept
from understudy.control.identity import ACTOR_KEY
from understudy.domain.changes import DeployChampion, SetThreshold
from understudy.domain.errors import (
    CorruptedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from understudy.domain.store_urls import StoreUrl, parse_bucket_url
from understudy.domain.versions import ArtifactFile
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.exit_codes import OK

SMALL, LARGE = b"weights" * 400_000, bytes(range(256)) * (80_000)  # the large one is sent in parts
PLACES = ["folder", "memory", pytest.param("s3", marks=pytest.mark.long)]


@dataclass(frozen=True, slots=True)
class Place:
    store: ArtifactStore
    objects: Objects
    overwrite: Callable[[str, bytes], object]  # an object, behind the store's back


def place_in(bucket: Bucket, root: Path) -> Place:
    objects = BucketObjects(bucket)

    def overwrite(digest: str, content: bytes) -> object:
        return obstore.put(bucket, f"sha256/{digest[:2]}/{digest}", content)

    return Place(ArtifactStore(root, objects), objects, overwrite)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        objects = FolderObjects(tmp_path / "sha256")

        def overwrite(digest: str, content: bytes) -> object:
            objects.path_of(digest).chmod(0o600)
            return objects.path_of(digest).write_bytes(content)

        made = Place(ArtifactStore(tmp_path), objects, overwrite)
    elif request.param == "memory":
        made = place_in(MemoryStore(), tmp_path)
    else:
        request.getfixturevalue("s3")
        made = place_in(
            open_artifact_bucket(StoreUrl("artifacts", f"of/{tmp_path.name}")), tmp_path
        )
    yield made
    made.store.close()


@pytest.mark.parametrize("content", [SMALL, LARGE, b""], ids=["small", "large", "empty"])
def test_a_file_is_read_as_it_was_kept_and_kept_once(place: Place, content: bytes) -> None:
    store = place.store

    first, second = kept(store, content), kept(store, content)

    pieces = list(store.read(first.sha256))
    assert (b"".join(pieces), first) == (content, second)
    assert max((len(each) for each in pieces), default=0) <= 1 << 20
    assert store.stored() == {sha256(content).hexdigest(): len(content)}
    assert store.has(first.sha256)


def test_a_removed_file_is_gone_and_another_one_stays(place: Place) -> None:
    removed, stays = kept(place.store, b"one"), kept(place.store, b"two")

    place.store.remove([removed.sha256, "ab" * 32])

    assert place.store.stored() == {stays.sha256: 3}
    assert not place.store.has(removed.sha256)
    with pytest.raises(NotFoundError):
        list(place.store.read(removed.sha256))
    assert list(place.store.faults_of([removed, stays])) == [
        f"model.onnx is missing from the artifact store (sha256 {removed.sha256})"
    ]


def test_changed_bytes_are_found_never_read_to_their_end_and_healed(place: Place) -> None:
    store, file = place.store, kept(place.store, SMALL)
    for odd in (SMALL[:-1] + b"X", SMALL[:-1], b""):
        place.overwrite(file.sha256, odd)
        received: list[bytes] = []

        with pytest.raises(CorruptedError):
            received.extend(store.read(file.sha256))

        assert sum(map(len, received)) < len(SMALL)
        assert len(list(store.faults_of([file]))) == 1
    kept(store, SMALL)
    assert list(store.faults_of([file])) == []


def test_an_upload_has_stored_files_under_their_paths(place: Place) -> None:
    file = kept(place.store, SMALL)
    renamed = ArtifactFile("data/weights.bin", file.sha256, file.size_bytes)

    with place.store.stage() as staging:
        place.store.link_into(staging, [renamed])
        assert (staging.directory / "data" / "weights.bin").read_bytes() == SMALL

    assert list(place.store.faults_of([file])) == []


@pytest.mark.parametrize("digest", ["", "abc", "../../secret", "G" * 64, "a" * 63 + "/"])
def test_only_a_digest_names_an_object(place: Place, digest: str) -> None:
    with pytest.raises(InvalidInputError):
        list(place.store.read(digest))


def test_other_files_of_the_place_are_not_artifacts(tmp_path: Path) -> None:
    bucket = MemoryStore()
    obstore.put(bucket, "sha256/ab/readme", b"?")
    obstore.put(bucket, "other/file", b"?")
    store = ArtifactStore(tmp_path, BucketObjects(bucket))

    assert store.stored() == {}
    store.close()


def test_a_bucket_that_is_away_is_unavailable_and_its_secret_is_in_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secret := tmp_path / "secret").write_text("very secret")
    secret.chmod(0o600)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY_FILE": str(secret),
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT": "http://127.0.0.1:1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    store = ArtifactStore(tmp_path, BucketObjects(open_artifact_bucket(StoreUrl("artifacts", ""))))

    for ask in (
        lambda: store.has("ab" * 32),
        store.stored,
        lambda: list(store.read("ab" * 32)),
        lambda: store.remove(["ab" * 32]),
        lambda: kept(store),
    ):
        with pytest.raises(UnavailableError, match="artifact store") as failed:
            ask()
        assert "very secret" not in str(failed.value)
    store.close()


def test_a_secret_that_others_can_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secret := tmp_path / "secret").write_text("very secret")
    secret.chmod(0o644)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY_FILE", str(secret))

    with pytest.raises(InvalidInputError, match="AWS_SECRET_ACCESS_KEY_FILE: read mode 0644"):
        open_artifact_bucket(StoreUrl("artifacts", ""))


ODD_URLS = (
    *("", "models", "s3:/models", "s3://", "s3://M", "s3://models/a/../b", "s3://models/./a"),
    *(
        "file:///models",
        "s3://models/a//b",
        "s3://key:secret@models/a",
        "https://models/a",
        "s3://models/ä",
    ),
)


@pytest.mark.parametrize("url", ODD_URLS)
def test_an_odd_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match=r"artifacts: .*accepted: s3://BUCKET"):
        parse_bucket_url(url, field="artifacts")


def test_a_registry_with_an_odd_place_of_artifacts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="accepted: s3://BUCKET"):
        RegistrySettings(dir=tmp_path, unproven=True, artifacts=str(tmp_path))


@pytest.mark.long
async def test_a_registry_over_a_bucket_is_whole_collects_and_is_restored_into_another(
    s3: None, tmp_path: Path
) -> None:
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "backup.tar"
    other = trained(8)
    async with running_registry(first, artifacts="s3://artifacts/first") as channel:
        operator = Operator(channel)
        one = (await operator.register(new_version())).version
        await operator.register(new_version(other.record, artifact_dir=other.artifact_dir))
        await operator.change(DeployChampion(1))
        await operator.retire(2)
        collected = await operator.collect()
        fetched = await operator.fetch(one.files[0].sha256)
        verified = await operator.stub.VerifyRegistry(pb.VerifyRegistryRequest())
        stub = operator.stub.BackupRegistry
        metadata = ((ACTOR_KEY, ACTOR),)
        with file.open("wb") as new:
            async for piece in stub(pb.BackupRegistryRequest(), metadata=metadata):
                new.write(piece.data)
    assert sha256(fetched).hexdigest() == one.files[0].sha256
    assert (collected.files, list(verified.faults), verified.files) == (2, [], len(one.files))
    assert list((first / "artifacts").rglob("sha256")) == []

    words = ("restore", str(file), "--dir", str(second), "--artifacts", "s3://artifacts/second")
    restored = await asyncio.to_thread(command, *words, *REASON)

    assert restored.exit_code == OK, restored.stderr
    async with running_registry(second, artifacts="s3://artifacts/second") as channel:
        again = await Operator(channel).stub.VerifyRegistry(pb.VerifyRegistryRequest())
        assert (list(again.faults), again.files, again.collected_count) == ([], len(one.files), 1)
        assert (await Operator(channel).change(SetThreshold(0.4))).revision == 2_001
