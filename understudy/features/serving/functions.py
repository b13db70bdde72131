"""Python functions that a deployment adds to expressions, as entry points of installed packages.

A package declares `name_v1 = "module:function"` in the entry-point group `understudy.transforms`.
The function takes and returns float64 columns of shape (n,). Its name is part of a view's digest
and its code is not: changed behaviour requires a new name, hence the version in the name.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from understudy.domain.errors import Fault, InvalidInputError
from understudy.features.decisions.expressions import Function

GROUP = "understudy.transforms"


@cache
def deployed_functions() -> Mapping[str, Function]:
    """Return the functions of installed packages, by name.

    Raises:
        InvalidInputError: entry points cannot be imported; all of them are reported.
    """
    functions: dict[str, Function] = {}
    faults: list[Fault] = []
    for entry in entry_points(group=GROUP):
        try:
            functions[entry.name] = entry.load()
        except (ImportError, AttributeError) as error:
            accepted = f"module:function that can be imported ({error})"
            faults.append(Fault(f"entry point {entry.name}", entry.value, accepted))
    if faults:
        raise InvalidInputError(faults)
    return functions
