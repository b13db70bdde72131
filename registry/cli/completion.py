"""Completion of models and versions in a shell, by the registry; nothing if it does not answer soon."""

from collections.abc import Iterator
from time import monotonic
from typing import Any

import typer

from registry.decisions.name_ranges import before_prefix, can_begin_name
from understudy.control.client import RegistryClient
from understudy.domain.errors import UnderstudyError
from understudy.domain.versions import GREATEST_VERSION
from understudy.registry.v1 import registry_pb2 as pb

_LONGEST_S = 1.0  # a shell waits for this
_MOST_NAMES = 50

Item = tuple[str, str]  # word and help


def complete_model(context: typer.Context, incomplete: str) -> list[Item]:
    """Return the models whose names begin with the word."""
    return _soon(context, lambda client, until_s: _models(client, incomplete, until_s))


def complete_model_or_version(context: typer.Context, incomplete: str) -> list[Item]:
    """Return models, or `MODEL@NUMBER` once the word names a model, or only one model fits."""
    model, separator, number = incomplete.partition("@")

    def items(client: RegistryClient, until_s: float) -> Iterator[Item]:
        if separator:
            yield from _versions(client, model, number, f"{model}@")
            return
        found = list(_models(client, incomplete, until_s))
        yield from found
        if len(found) == 1:
            yield from _versions(client, found[0][0], "", f"{found[0][0]}@")

    return _soon(context, items)


def complete_number(context: typer.Context, incomplete: str) -> list[Item]:
    """Return the versions of the model that stands before the word."""
    model = str(context.params.get("model") or "")
    return _soon(context, lambda client, _: _versions(client, model, incomplete, ""))


def _soon(context: typer.Context, items: Any) -> list[Item]:
    """Return the items that are known within a second.

    A completion says nothing about failures: its output is what is typed, and a shell shows it.
    """
    found: list[Item] = []
    try:
        target = str(context.params["registry"])
        with RegistryClient(target, longest_call_s=_LONGEST_S) as client:
            found.extend(items(client, monotonic() + _LONGEST_S))
    except UnderstudyError:
        return []
    return found


def _models(client: RegistryClient, prefix: str, until_s: float) -> Iterator[Item]:
    """Yield names in order, from one model to the next without the versions between."""
    if prefix and not can_begin_name(prefix):
        return
    start = before_prefix(prefix) if prefix else None
    after = None if start is None else pb.VersionRef(model=start.model, number=start.number)
    for _ in range(_MOST_NAMES):
        page = client.versions_page(pb.ListVersionsRequest(after=after, limit=1))
        if not page.versions or not page.versions[0].ref.model.startswith(prefix):
            return
        first = page.versions[0].ref
        yield first.model, "model"
        after = pb.VersionRef(model=first.model, number=GREATEST_VERSION)
        if monotonic() > until_s:
            return


def _versions(client: RegistryClient, model: str, prefix: str, before: str) -> Iterator[Item]:
    if not model or not can_begin_name(model):
        return
    page = client.versions_page(pb.ListVersionsRequest(model=model))
    for each in page.versions:
        if str(each.ref.number).startswith(prefix):
            at = each.registered_at.ToJsonString()[:10]
            yield f"{before}{each.ref.number}", f"registered {at} by {each.registered_by}"
