"""The archive of protos/ for callers in other languages; the same bytes for the same files."""

import gzip
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LICENCE = "LICENSE"


def write_archive(folder: Path) -> Path:
    """Write the archive of this version into `folder`; return its path."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    name = f"understudy-protos-{version}"
    paths = [*sorted((ROOT / "protos").rglob("*.proto")), ROOT / LICENCE]
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in paths:
            below = path.name if path.name == LICENCE else path.relative_to(ROOT / "protos")
            fact = tarfile.TarInfo(f"{name}/{below}")  # owner and time are 0
            fact.size = path.stat().st_size
            tar.addfile(fact, BytesIO(path.read_bytes()))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.tar.gz"
    target.write_bytes(gzip.compress(archive.getvalue(), mtime=0))
    return target


if __name__ == "__main__":
    write_archive(ROOT / "dist")
