"""LMDB stores whose files are damaged, before and while a reader has them open."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from shutil import copytree, rmtree

import pytest

from tests.features.builders import MIXED_VALUES, a_record, a_view
from tests.features.lmdb_damage import (
    Damage,
    cut_to,
    forbid,
    make_folder,
    random_bytes,
    remove,
    zero_pages,
)
from understudy.domain.errors import UnavailableError
from understudy.features.adapters.lmdb_sealed import sealed, unsealed
from understudy.features.ports import UNANSWERED, InspectableStore, ViewRead
from understudy.features.stores import isolated_store, open_writer

pytestmark = pytest.mark.fault
VIEW = a_view()
# Texts of all lengths: records lie in leaf pages and in pages of their own.
RECORDS = {
    f"u{n}": a_record(VIEW, {**MIXED_VALUES, "age": n, "city": "c" * (n * 7 % 6000)})
    for n in range(600)
}
WAIT_S = 60.0


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original") / "store"
    _load(folder, RECORDS)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return copytree(original, tmp_path / "store")


def _load(folder: Path, ids: Iterable[str]) -> None:
    writer = open_writer(f"lmdb:{folder}")
    writer.write(VIEW, [(each, RECORDS[each]) for each in ids], mark=None)
    writer.close_now()


def _files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


async def _found(store: InspectableStore) -> list[bytes | None]:
    (records,) = await store.read([ViewRead(VIEW, list(RECORDS))], timeout_s=WAIT_S)
    return records


async def _until_found(store: InspectableStore, expected: list[bytes | None]) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                if await _found(store) == expected:
                    return
            except UnavailableError:
                pass
            await asyncio.sleep(0.05)


async def _until_troubled(store: InspectableStore, text: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while not any(text in trouble for trouble in store.troubles()):  # noqa: ASYNC110 - the reader is another process
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (cut_to(0), "data.mdb is empty"),
        (cut_to(0.001), "not an LMDB file"),
        (cut_to(0.5), "data.mdb is cut short"),
        (zero_pages(0, 2), "not an LMDB file"),
        (zero_pages(2, 200), ""),
        (make_folder, "it does not exist"),
        (remove, "it does not exist; `understudy features load` creates one"),
        pytest.param(
            forbid,
            "Permission denied",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything"),
        ),
    ],
)
async def test_a_damaged_store_is_named_and_used_again_once_it_is_mended(
    original: Path, folder: Path, damage: Damage, why: str
) -> None:
    damage(folder / "data.mdb")
    before = _files_in(folder)

    async with isolated_store(f"lmdb:{folder}") as store:
        with pytest.raises(UnavailableError):
            await _found(store)
        (trouble,) = store.troubles()
        assert why in trouble
        assert _files_in(folder) == before  # reading has created nothing

        rmtree(folder)
        copytree(original, folder)
        await _until_found(store, list(RECORDS.values()))
        assert store.troubles() == ()


@pytest.mark.parametrize("seed", range(4))
async def test_random_bytes_never_become_a_record_or_its_absence(folder: Path, seed: int) -> None:
    random_bytes(seed, places=2)(folder / "data.mdb")

    async with isolated_store(f"lmdb:{folder}") as store:
        try:
            found = await _found(store)
        except UnavailableError:
            found = [UNANSWERED] * len(RECORDS)
        troubles = store.troubles()

    wrong = [
        entity_id
        for (entity_id, record), answer in zip(RECORDS.items(), found, strict=True)
        if answer not in {record, UNANSWERED}
    ]
    assert wrong == []
    assert UNANSWERED not in found or troubles


async def test_a_file_that_is_cut_short_under_its_reader_costs_reads_and_no_process(
    original: Path, folder: Path
) -> None:
    async with isolated_store(f"lmdb:{folder}") as store:
        assert await _found(store) == list(RECORDS.values())

        cut_to(0)(folder / "data.mdb")

        with pytest.raises(UnavailableError):
            await _found(store)
        await _until_troubled(store, "data.mdb is empty")
        rmtree(folder)
        copytree(original, folder)
        await _until_found(store, list(RECORDS.values()))


async def test_a_store_that_vanishes_is_read_on_and_reported(folder: Path) -> None:
    async with isolated_store(f"lmdb:{folder}") as store:
        rmtree(folder)

        await _until_troubled(store, "its file cannot be found, the open one is read on")
        assert await _found(store) == list(RECORDS.values())


async def test_a_store_that_takes_the_place_of_another_is_read(folder: Path) -> None:
    _load(folder.with_name("other"), ["u7"])
    expected = [record if each == "u7" else None for each, record in RECORDS.items()]
    async with isolated_store(f"lmdb:{folder}") as store:
        assert await _found(store) == list(RECORDS.values())

        rmtree(folder)
        folder.with_name("other").rename(folder)

        await _until_found(store, expected)


async def test_a_sound_store_has_no_troubles(folder: Path) -> None:
    async with isolated_store(f"lmdb:{folder}") as store:
        assert await _found(store) == list(RECORDS.values())
        assert store.troubles() == ()


def test_a_loader_refuses_a_file_that_is_cut_short(folder: Path) -> None:
    cut_to(0.5)(folder / "data.mdb")

    with pytest.raises(UnavailableError, match="cut short"):
        open_writer(f"lmdb:{folder}")


@pytest.mark.parametrize("place", range(12))
def test_a_seal_fits_one_record_under_one_key(place: int) -> None:
    value = bytearray(sealed(b"key", b"record12"))
    assert unsealed(b"key", bytes(value)) == b"record12"
    assert unsealed(b"kez", bytes(value)) is None

    value[place] ^= 1

    assert unsealed(b"key", bytes(value)) is None
