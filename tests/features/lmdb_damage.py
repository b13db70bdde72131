"""Damage to the file of an LMDB store, as disks, tools and people do it."""

import os
import random
from collections.abc import Callable
from pathlib import Path

PAGE_BYTES = 4096
Damage = Callable[[Path], None]


def cut_to(share: float) -> Damage:
    """Return a damage that keeps only the first `share` of the file."""
    return lambda file: os.truncate(file, int(file.stat().st_size * share))


def zero_pages(first: int, count: int) -> Damage:
    """Return a damage that writes zeros over pages; a negative `first` counts from the end."""

    def damage(file: Path) -> None:
        start = first if first >= 0 else file.stat().st_size // PAGE_BYTES + first
        _write(file, start * PAGE_BYTES, bytes(count * PAGE_BYTES))

    return damage


def random_bytes(seed: int, *, places: int) -> Damage:
    """Return a damage that writes 64 random bytes at each of `places`, the head excepted."""

    def damage(file: Path) -> None:
        chosen = random.Random(seed)
        size = file.stat().st_size
        for _ in range(places):
            _write(file, chosen.randrange(2 * PAGE_BYTES, size - 64), chosen.randbytes(64))

    return damage


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def remove(file: Path) -> None:
    file.unlink()


def forbid(file: Path) -> None:
    file.chmod(0)


def _write(file: Path, at: int, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(content)
