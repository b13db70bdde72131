"""The environment of children that run foreign code: models that others have trained.

A list of permitted names, not of forbidden ones: secrets have any name, and platforms add new
ones.
"""

from collections.abc import Mapping

_NAMES = frozenset(
    {
        "PATH",
        "HOME",  # Python looks for the user's packages below it
        "TMPDIR",
        "TZ",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",  # another malloc
        "UNDERSTUDY_DEBUG",
    }
)
_PREFIXES = (
    "LC_",
    "PYTHON",
    "GRPC_",
    "OMP_",
    "OPENBLAS_",
    "MKL_",
    "KMP_",
    "MALLOC_",
    "GLIBC_",
)


def environment_for_foreign_code(own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `own` that interpreter, libraries and locale need."""
    return {
        name: value for name, value in own.items() if name in _NAMES or name.startswith(_PREFIXES)
    }
