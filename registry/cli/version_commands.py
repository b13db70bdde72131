"""Commands about registered versions: their differences, and copies of their artifacts."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from registry.cli.copies import new_directory, write_artifact
from registry.cli.named_version import named_version, print_named_json
from registry.cli.options import ModelOrVersion, Number, Registry
from registry.decisions.version_difference import differences
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer(cls=CommandGroup, add_completion=False)

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
    first = named_version(one, None, registry, output)
    other_model = other.partition("@")[0] if "@" in other else first.ref.model
    second = named_version(other_model, other, registry, output)
    with RegistryClient(registry) as client:
        found = [
            *differences(
                *(
                    _content(client.get_version(ref.model, ref.number))
                    for ref in (first.ref, second.ref)
                )
            )
        ]
    if output is Format.JSON:
        content = {"one": str(first.ref), "other": str(second.ref), "differences": found}
        print_named_json(content, first, second)
        return
    screen = Screen()
    if not found:
        screen.say(f"{first.ref} and {second.ref} have the same content")
        return
    rows = [(each.group, each.field, _shown(each.one), _shown(each.other)) for each in found]
    screen.table(("group", "field", str(first.ref), str(second.ref)), rows)


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
    named = named_version(model, version, registry, output)
    ref = named.ref
    with new_directory(to) as part, RegistryClient(registry) as client:
        found = client.get_version(ref.model, ref.number)
        size_bytes = write_artifact(client, found, part / "artifact")
        (part / "provenance.json").write_text(found.provenance_json)
    if output is Format.JSON:
        written = {"directory": to, "files": len(found.files), "size_bytes": size_bytes}
        print_named_json(written, named)
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
