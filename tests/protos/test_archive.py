"""The archive for other languages compiles by itself, and is the same whenever it is made."""

import tarfile
from pathlib import Path

from tests.protos.compiled import ROOT, compiled
from tools.protos_archive import write_archive


def test_the_archive_has_every_proto_and_the_licence(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "dist")

    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.glob("understudy-protos-*")
    sources = {str(each.relative_to(ROOT / "protos")) for each in ROOT.glob("protos/**/*.proto")}
    assert {file.name for file in compiled(root, tmp_path)} == sources
    assert (root / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_two_archives_of_the_same_files_are_equal(tmp_path: Path) -> None:
    first, second = (write_archive(tmp_path / name).read_bytes() for name in ("one", "two"))

    assert first == second
