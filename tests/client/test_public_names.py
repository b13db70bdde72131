"""Every name that a caller needs for annotations is in `understudy.client`."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
from google.protobuf.message import Message

from understudy import client
from understudy.client import AsyncScoringClient, ScoringClient

OURS = "understudy."


@pytest.mark.parametrize("kind", [ScoringClient, AsyncScoringClient])
def test_every_type_that_a_method_takes_or_returns_is_exported(kind: type) -> None:
    named = {
        leaf
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
        for hint in get_type_hints(method).values()
        for leaf in _leaves(hint)
        if leaf.__module__.startswith(OURS)
    }

    assert len(named) > 4
    assert {
        leaf.__name__ for leaf in named if getattr(client, leaf.__name__, None) is not leaf
    } == set()
    assert {leaf.__name__ for leaf in named} <= {*client.__all__}


def test_every_message_and_enum_inside_an_exported_message_is_exported() -> None:
    messages = [
        value
        for name in client.__all__
        if isinstance(value := getattr(client, name), type) and issubclass(value, Message)
    ]

    inside = {name for message in messages for name in _names_inside(message.DESCRIPTOR)}

    assert "ServedBy" in inside
    assert inside - {*client.__all__} == set()


def _leaves(hint: Any) -> Iterator[type]:
    arguments = get_args(hint)
    for argument in arguments:
        yield from _leaves(argument)
    if not arguments and isinstance(hint, type):
        yield hint


def _names_inside(message: Any) -> Iterator[str]:
    for field in message.fields:
        if field.message_type is not None and _is_a_map(field):
            yield from _names_inside(field.message_type)
        elif field.message_type is not None and field.message_type.file is message.file:
            yield field.message_type.name
        elif field.enum_type is not None:
            yield field.enum_type.name


def _is_a_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)
