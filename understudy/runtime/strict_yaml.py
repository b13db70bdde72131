"""YAML that people write, read by the rules of YAML 1.2: a scalar is what it looks like.

PyYAML follows YAML 1.1, where `NO` is false, `012` is ten, `1:30` is ninety, `1e3` is a text, and a
date is no text. A key that stands twice is refused, because only one of its values would act.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from understudy.domain.errors import Fault, InvalidInputError

_SCALARS = {  # tag, form and first characters of the scalars of the core schema that are no text
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        "-+.0123456789",
    ),
    "merge": (r"<<", "<"),
}
# The last three come from PyYAML's constructors, for numbers of too many digits and for texts that
# do not fit a tag that is written out, as `!!int x`.
_FAULTS = (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError)


class _OneValueEach(yaml.SafeLoader):
    """Reads the scalars of YAML 1.2, and refuses a mapping with a repeated key."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - replaces those of YAML 1.1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - yaml's signature
        keys = [each.value for each, _ in node.value if isinstance(each, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


for _tag, (_form, _first) in _SCALARS.items():
    _firsts = [*_first, *([""] if _tag == "null" else [])]  # nothing at all is null
    _OneValueEach.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_form})$"), _firsts
    )


def parse_yaml(text: str, field: str) -> Any:
    """Return the values of the one document in a text.

    Args:
        text: may begin with a byte order mark.
        field: the name of the text, for the error.

    Raises:
        InvalidInputError: it is not one document of YAML with each key once.
    """
    try:
        # Safe: the loader is yaml.SafeLoader with stricter rules.
        return yaml.load(text.removeprefix("\ufeff"), Loader=_OneValueEach)  # noqa: S506
    except _FAULTS as error:
        why = " ".join(str(error).split())
        accepted = "a YAML file of one document, with each key once"
        raise InvalidInputError([Fault(field, why, accepted)]) from error


def read_yaml(file: Path, option: str) -> Any:
    """Return the values of the one document in a file.

    Args:
        file: in UTF-8.
        option: its name on the command line, for the error.

    Raises:
        InvalidInputError: it cannot be read, or is not one document of YAML with each key once.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError([Fault(option, str(error), "a YAML file in UTF-8")]) from error
    return parse_yaml(text, option)
