"""A model's features as the lists of a score log: one list per exact type, statuses beside them.

Lists and not columns, so that files of versions with different features have the same columns.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

ELEMENTS_KEY = b"elements"  # metadata of a file: the names of the elements of each list
NOT_LOGGED = "not_logged"  # member of the elements: the names of features that are in no list
STATUSES, AGES = "statuses", "ages_ms"
NO_RECORD_MS = 0  # the event time of a row without a record


class FeatureList(StrEnum):
    """A list of a score log. Each holds the values of its type bit for bit."""

    FLOATS = "float_features"
    DOUBLES = "double_features"
    INT64S = "int64_features"
    TEXTS = "text_features"
    DIGESTS = "hashed_features"  # texts in the form of ids, of features with `log: hash`


_ELEMENTS: dict[FeatureList, np.dtype[Any]] = {
    FeatureList.FLOATS: np.dtype(np.float32),
    FeatureList.DOUBLES: np.dtype(np.float64),
    FeatureList.INT64S: np.dtype(np.int64),
    FeatureList.TEXTS: np.dtype(np.object_),
    FeatureList.DIGESTS: np.dtype(np.object_),
}


@dataclass(frozen=True, slots=True)
class Part:
    """The columns of one of a model's tensors in a list."""

    tensor: int
    columns: tuple[int, ...] | None = None  # None: all, in the tensor's order


@dataclass(frozen=True, slots=True)
class ListedFeatures:
    """The names of the elements of each list, shared by all rows of one version."""

    names: tuple[str, ...]  # the feature set, which is the order of the statuses
    lists: tuple[tuple[FeatureList, tuple[str, ...]], ...] = ()
    parts: tuple[tuple[Part, ...], ...] = ()  # of each list, in the order of `lists`
    views: tuple[str, ...] = ()  # whose records were read: the order of the ages
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Hashing hundreds of names for each batch took a fifth of the log's total time.
        object.__setattr__(self, "_hash", hash((self.names, self.lists, self.parts, self.views)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def as_json(self) -> str:
        """The text for the metadata of a file, by name of the column."""
        of_lists = {column.value: list(names) for column, names in self.lists}
        unlogged = {NOT_LOGGED: list(self.unlogged)} if self.unlogged else {}
        others = {STATUSES: list(self.names), AGES: list(self.views)}
        return json.dumps({**others, **of_lists, **unlogged})

    @property
    def unlogged(self) -> tuple[str, ...]:
        """The features whose values are in no list, because their policy is none."""
        listed = {name for _, names in self.lists for name in names}
        return tuple(name for name in self.names if name not in listed)

    @property
    def hashed(self) -> frozenset[str]:
        """The features of which only digests are in a list."""
        return frozenset(dict(self.lists).get(FeatureList.DIGESTS, ()))

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes]) -> "ListedFeatures | None":
        """Return the names in a file's metadata; None if it states none of this form."""
        try:
            stated = json.loads(metadata[ELEMENTS_KEY])
            lists = [(each, tuple(stated[each])) for each in FeatureList if each in stated]
            return cls(tuple(stated[STATUSES]), tuple(lists), views=tuple(stated[AGES]))
        except (KeyError, TypeError, ValueError):
            return None


NO_FEATURES = ListedFeatures(())


@dataclass(frozen=True, slots=True, eq=False)
class LoggedFeatures:
    """The features of n rows as their model read them; the log's thread finds the lists."""

    listed: ListedFeatures
    tensors: tuple[npt.NDArray[Any], ...]  # of the model, n rows each
    event_times_ms: npt.NDArray[np.int64]  # (n, views), UTC since 1970; NO_RECORD_MS without one
    read_at_ms: int  # UTC, since 1970

    def chosen(self, rows: "slice | npt.NDArray[np.bool_]") -> "LoggedFeatures":
        """Return the chosen rows."""
        return LoggedFeatures(
            self.listed,
            tuple(tensor[rows] for tensor in self.tensors),
            self.event_times_ms[rows],
            self.read_at_ms,
        )

    def values_of(self, place: int) -> npt.NDArray[Any]:
        """Return the values of the list at `place`, shape (n, elements); no copies if possible.

        Raises:
            ValueError: the tensors do not have the columns that the list names.
        """
        column, names = self.listed.lists[place]
        chosen = [self._columns(part) for part in self.listed.parts[place]]
        dtype = _ELEMENTS[column]
        values = chosen[0]
        if len(chosen) > 1:
            values = np.concatenate(chosen, axis=1, dtype=dtype)
        elif values.dtype != dtype:
            values = values.astype(dtype)
        if values.shape[1] != len(names):
            raise ValueError(f"{column}: {values.shape[1]} values, expected {len(names)}")
        return values

    def _columns(self, part: Part) -> npt.NDArray[Any]:
        tensor = self.tensors[part.tensor]
        matrix = tensor if tensor.ndim > 1 else tensor.reshape(-1, 1)
        return matrix if part.columns is None else matrix[:, part.columns]
