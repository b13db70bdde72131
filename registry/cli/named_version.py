"""A version that a command names by a number or a tag."""

from collections.abc import Mapping
from dataclasses import dataclass

from registry.cli.arguments import parse_version
from understudy.control.client import RegistryClient
from understudy.domain.errors import NotFoundError
from understudy.domain.versions import VersionRef, checked_model_name
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen


@dataclass(frozen=True, slots=True)
class NamedVersion:
    """A version, and the tag by which a command names it."""

    ref: VersionRef
    tag: str | None = None  # MODEL@TAG; None: it is named by its number

    @property
    def resolved(self) -> dict[str, str]:
        """The version by its tag; empty without one."""
        return {} if self.tag is None else {self.tag: str(self.ref)}


def named_version(model: str, version: str | None, registry: str, output: Format) -> NamedVersion:
    """Return the version that `MODEL VERSION` names: 7, fraud@7, baseline or fraud@baseline.

    The number of a tag is read now, and only the number is used from then on. A table shows it on
    stderr; a JSON document contains it, see `print_named_json`.

    Raises:
        InvalidInputError: no version is named, or two different models are.
        NotFoundError: no version of the model has the tag.
        UnavailableError: a tag is named, and the registry does not answer.
    """
    named = model if version is None else version
    before, separator, after = named.partition("@")
    text = after if separator else before
    if not text[:1].isalpha() or (version is None and not separator):
        return NamedVersion(parse_version(model, version))
    name = checked_model_name(model.partition("@")[0])
    with RegistryClient(registry) as client:
        found = {tag.name: tag.ref.number for tag in client.list_tags(name).tags}
    if text not in found:
        raise NotFoundError("tag", f"{text} of {name}")
    # A version of another model is refused as for numbers.
    number = str(found[text])
    ref = parse_version(
        model if version is not None else f"{name}@{number}",
        None if version is None else (f"{before}@{number}" if separator else number),
    )
    if output is Format.TABLE:
        Screen(stderr=True).say(f"{name}@{text} is {ref}")
    return NamedVersion(ref, f"{name}@{text}")


def print_named_json(content: Mapping[str, object], *named: NamedVersion) -> None:
    """Print a JSON document, with `resolved_tags` if the command named a version by a tag."""
    print_json({**content, **resolved_tags(*named)})


def resolved_tags(*named: NamedVersion) -> dict[str, object]:
    """Return the field of a JSON document that tells versions by their tags; empty without one."""
    tags = {tag: ref for each in named for tag, ref in each.resolved.items()}
    return {"resolved_tags": tags} if tags else {}
