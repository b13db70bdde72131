"""The contract of an object store: on a folder, and on S3 as SeaweedFS has it."""

import io
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.seaweed import seaweed_for_this_process
from understudy.domain.errors import InvalidInputError, NotFoundError, UnavailableError
from understudy.domain.store_urls import StoreUrl, parse_store_url
from understudy.runtime.free_port import free_port
from understudy.runtime.object_file import ObjectFile
from understudy.runtime.object_store import ObjectStore


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run an S3 for the tests of this module that want one."""
    with seaweed_for_this_process(tmp_path_factory.mktemp("seaweed"), "logs"):
        yield


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return ObjectStore.open(StoreUrl("", str(tmp_path / "objects")))
    request.getfixturevalue("s3")
    return ObjectStore.open(StoreUrl("logs", tmp_path.name))


def test_an_object_is_read_as_it_was_put_and_replaced_as_a_whole(store: ObjectStore) -> None:
    store.put("score/model=fraud/date=2026-11-18/v7.parquet", b"first")
    store.put("score/model=fraud/date=2026-11-18/v7.parquet", b"the second")

    assert store.read("score/model=fraud/date=2026-11-18/v7.parquet") == b"the second"


def test_only_the_objects_of_a_folder_are_listed_with_their_sizes(store: ObjectStore) -> None:
    for key in ("a/one", "a/b/two", "ab/three"):
        store.put(key, key.encode())

    listed = {each.key: each.size_bytes for each in store.listed("a")}

    assert listed == {"a/one": 5, "a/b/two": 7}


def test_a_removed_object_is_gone_and_removing_it_again_is_no_fault(store: ObjectStore) -> None:
    store.put("a/one", b"1")

    store.remove("a/one")
    store.remove("a/one")

    assert list(store.listed("a")) == []
    with pytest.raises(NotFoundError):
        store.read("a/one")


def test_parts_of_an_object_are_those_of_its_listed_content(store: ObjectStore) -> None:
    content = bytes(range(256)) * 1_000
    store.put("a/one", content)
    (listed,) = store.listed("a")

    with ObjectFile(store, listed) as file:
        for start, length in ((0, 10), (255_990, 10), (100_000, 90_000), (255_999, 99)):
            assert file.seek(start) == file.tell() == start
            assert file.read(length) == content[start : start + length]
        assert file.seek(-8, io.SEEK_END) == 255_992
        assert file.read() == content[-8:]
    store.put("a/one", content[::-1])
    with pytest.raises(NotFoundError):
        store.read_part(listed, 0, 10)


@pytest.mark.long
def test_s3_states_the_digest_of_an_object_that_was_sent_in_one_piece(s3: None) -> None:
    content = bytes(9 << 20)

    e_tag = ObjectStore.open(StoreUrl("logs", "digests")).put("one", content)

    assert e_tag == md5(content, usedforsecurity=False).hexdigest()


def test_a_store_that_is_away_is_unavailable_and_its_secret_is_in_no_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("very secret")
    secret.chmod(0o600)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY_FILE", str(secret))
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    store = ObjectStore.open(StoreUrl("logs", ""))

    with pytest.raises(UnavailableError, match="s3://logs/a/one") as refused:
        store.put("a/one", b"1")

    assert "very secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "logs",
        "s3:/bucket",
        "s3://",
        "s3://UPPER/x",
        "s3://bucket/../x",
        "file://x",
        "http://x/y",
    ],
)
def test_a_url_that_names_no_store_is_refused_by_its_setting(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"log_target: read .*accepted: s3://BUCKET"):
        parse_store_url(text, field="log_target")


def test_slashes_at_the_ends_of_a_prefix_do_not_count() -> None:
    urls = ("s3://models", "s3://models/", "s3://models/a/b/")

    parsed = [parse_store_url(url, field="log_target") for url in urls]

    assert parsed == [StoreUrl("models", ""), StoreUrl("models", ""), StoreUrl("models", "a/b")]


@given(
    st.from_regex(r"[a-z0-9]{3,20}", fullmatch=True), st.lists(st.sampled_from("ab"), max_size=3)
)
def test_a_url_is_shown_as_it_is_parsed(bucket: str, parts: list[str]) -> None:
    url = StoreUrl(bucket, "/".join(parts))

    assert parse_store_url(str(url), field="log_target") == url
