"""A version that a command names by a number or a tag."""

from registry.cli.arguments import parse_version
from understudy.control.client import RegistryClient
from understudy.domain.errors import NotFoundError
from understudy.domain.versions import VersionRef, checked_model_name
from understudy.runtime.terminal.screen import Screen


def named_version(model: str, version: str | None, registry: str) -> VersionRef:
    """Return the version that `MODEL VERSION` names: 7, fraud@7, baseline or fraud@baseline.

    The number of a tag is read now and shown on stderr; only the number is used from then on.

    Raises:
        InvalidInputError: no version is named, or two different models are.
        NotFoundError: no version of the model has the tag.
        UnavailableError: a tag is named, and the registry does not answer.
    """
    named = model if version is None else version
    before, separator, after = named.partition("@")
    text = after if separator else before
    if not text[:1].isalpha() or (version is None and not separator):
        return parse_version(model, version)
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
    Screen(stderr=True).say(f"{name}@{text} is {ref}")
    return ref
