"""Arrays of an untrusted .npz file: limited in size, without pickle, with our own errors.

`numpy.load` would allocate as much memory as a header claims, and raise many kinds of errors of
numpy, zipfile and the compression libraries.
"""

import lzma
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from understudy.domain.errors import Fault, InvalidInputError

MOST_BYTES = 256 << 20  # uncompressed, over all arrays that are read

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_UNREADABLE = (
    BadZipFile,
    EOFError,
    OSError,
    OverflowError,  # a size beyond 64 bits
    RuntimeError,  # encrypted, or an unknown compression
    SyntaxError,  # numpy parses headers as Python
    TokenError,
    ValueError,
    lzma.LZMAError,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class StoredArrays:
    names: tuple[str, ...]  # of all arrays in the file
    arrays: Mapping[str, NDArray[Any]]  # the wanted ones


def read_arrays(path: Path, is_wanted: Callable[[str], bool]) -> StoredArrays:
    """Return the arrays of the .npz file at `path` whose names are wanted.

    Raises:
        InvalidInputError: the file cannot be read, is too large, or contains pickled objects.
    """
    try:
        with ZipFile(path) as archive:
            members = {each.filename.removesuffix(".npy"): each for each in archive.infolist()}
            wanted = {name: member for name, member in members.items() if is_wanted(name)}
            _check_size(path.name, wanted)
            arrays = {
                name: _read_array(archive, member, f"{path.name} {name}")
                for name, member in wanted.items()
            }
    except _UNREADABLE as error:
        raise _refusal(path.name, str(error), "an .npz file") from error
    return StoredArrays(tuple(sorted(members)), arrays)


def _check_size(field: str, members: Mapping[str, ZipInfo]) -> None:
    # zipfile reads at most this many bytes of a member.
    total_bytes = sum(member.file_size for member in members.values())
    if total_bytes > MOST_BYTES:
        raise _refusal(field, f"{total_bytes} bytes of arrays", f"at most {MOST_BYTES} bytes")


def _read_array(archive: ZipFile, member: ZipInfo, field: str) -> NDArray[Any]:
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:  # structured arrays
            raise _refusal(field, f"an array of format {version}", f"one of {[*_HEADERS]}")
        shape, fortran, dtype = _HEADERS[version](stream)
        if dtype.hasobject:
            raise _refusal(field, "pickled objects", "numbers, or strings: array.astype(str)")
        content = stream.read()
    if math.prod(shape) * dtype.itemsize != len(content):
        accepted = f"the size of an array of {dtype.name} with shape {shape}"
        raise _refusal(field, f"{len(content)} bytes", accepted)
    return np.ndarray(shape, dtype, content, order="F" if fortran else "C")


def _refusal(field: str, read: str, accepted: str) -> InvalidInputError:
    return InvalidInputError([Fault(field, read, accepted)])
