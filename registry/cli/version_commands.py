"""Commands about registered versions: their differences, and copies of their artifacts."""

import json
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Annotated, Any

import typer

from registry.cli.arguments import parse_version
from registry.cli.options import ModelOrVersion, Number, Registry
from registry.decisions.version_difference import differences
from understudy.artifact.paths import checked_path
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.domain.errors import CheckFailedError, Fault, InvalidInputError
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer(cls=CommandGroup, add_completion=False)

_RECORD_FILE = "provenance.json"
_SHOWN_CHARACTERS = 80
_APART = ("ref", "provenance_json", "evidence", "files")  # compared elsewhere, or not parts


@app.command()
def diff(
    one: Annotated[str, typer.Argument(help="MODEL@NUMBER")],
    other: Annotated[str, typer.Argument(help="NUMBER or MODEL@NUMBER")],
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """List the differences between two versions, by group of the record."""
    first = VersionRef.parse(one)
    second = VersionRef.parse(other if "@" in other else f"{first.model}@{other}")
    with RegistryClient(registry) as client:
        found = [
            *differences(
                *(_content(client.get_version(ref.model, ref.number)) for ref in (first, second))
            )
        ]
    if output is Format.JSON:
        print_json(found)
        return
    screen = Screen()
    if not found:
        screen.say(f"{first} and {second} have the same content")
        return
    rows = [(each.group, each.field, _shown(each.one), _shown(each.other)) for each in found]
    screen.table(("group", "field", str(first), str(second)), rows)


@app.command()
def download(
    model: ModelOrVersion,
    version: Number = None,
    *,
    to: Annotated[Path, typer.Option("--to", help="new directory for the files")],
    registry: Registry = DEFAULT_REGISTRY,
    output: Output = Format.TABLE,
) -> None:
    """Copy a version's artifact and record to a new directory; every digest is checked."""
    ref = parse_version(model, version)
    if to.exists():
        raise InvalidInputError.of("--to", read=f"{to}, which exists", accepted="a new directory")
    with RegistryClient(registry) as client:
        found = client.get_version(ref.model, ref.number)
        # Renamed once it is whole: a part would pass for the whole.
        part = _directory_beside(to)
        try:
            size_bytes = sum(_fetch(client, file, part / "artifact") for file in found.files)
            _check(_RECORD_FILE, found.provenance_json.encode(), found.provenance_digest)
            (part / _RECORD_FILE).write_text(found.provenance_json)
            part.rename(to)
        finally:
            rmtree(part, ignore_errors=True)
    if output is Format.JSON:
        print_json({"directory": to, "files": len(found.files), "size_bytes": size_bytes})
    else:
        Screen().say(f"wrote {len(found.files)} files of {size_bytes} bytes of {ref} to {to}")


def _content(version: pb.Version) -> dict[str, Any]:
    """Return the content of a version by group; parts outside the record are one group."""
    record = json.loads(version.provenance_json)
    values = {n: v for n, v in message_value(version).items() if n not in _APART}
    return {"version": values, **record}


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _directory_beside(to: Path) -> Path:
    try:
        return Path(mkdtemp(prefix=f".{to.name}-", dir=to.parent))
    except OSError as error:
        fault = Fault("--to", f"{to}: {error.strerror}", "a new directory in one that exists")
        raise InvalidInputError([fault]) from error


def _fetch(client: RegistryClient, file: pb.ArtifactFile, directory: Path) -> int:
    """Write one file, and return its size in bytes.

    Raises:
        CheckFailedError: the registry sent other bytes than it registered.
    """
    path = directory / checked_path(file.path, "path")
    path.parent.mkdir(parents=True, exist_ok=True)
    running, size_bytes = sha256(), 0
    with path.open("xb") as new:
        for piece in client.fetch_file(file.sha256):
            running.update(piece)
            size_bytes += new.write(piece)
            if size_bytes > file.size_bytes:
                raise CheckFailedError(f"{file.path} has more than its {file.size_bytes} bytes")
    if running.hexdigest() != file.sha256:
        raise CheckFailedError(f"{file.path} arrived with sha256 {running.hexdigest()}")
    return size_bytes


def _check(name: str, content: bytes, digest: str) -> None:
    found = sha256(content).hexdigest()
    if found != digest:
        raise CheckFailedError(f"{name} arrived with sha256 {found}, registered is {digest}")
