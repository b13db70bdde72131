"""YAML that people write: a key that stands twice is refused, because only one of its values would act."""

from pathlib import Path
from typing import Any

import yaml

from understudy.domain.errors import Fault, InvalidInputError


class _OneValueEach(yaml.SafeLoader):
    """Refuses a mapping with a repeated key."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - yaml's signature
        keys = [each.value for each, _ in node.value if isinstance(each, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def read_yaml(file: Path, option: str) -> Any:
    """Return the values of the one document in a file.

    Args:
        file: in UTF-8.
        option: its name on the command line, for the error.

    Raises:
        InvalidInputError: it cannot be read, or is not one document of YAML with each key once.
    """
    try:
        # Safe: the loader is yaml.SafeLoader with one more rule.
        return yaml.load(file.read_text(encoding="utf-8"), Loader=_OneValueEach)  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        why = " ".join(str(error).split())
        accepted = "a YAML file of one document, with each key once"
        raise InvalidInputError([Fault(option, why, accepted)]) from error
