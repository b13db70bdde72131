"""Opens the feature store that a URL names: `lmdb:FOLDER` or `aerospike://HOST:PORT/NAMESPACE`."""

from pathlib import Path

from domain.errors import InvalidInputError
from features.ports import FeatureStore, FeatureWriter

_ACCEPTED = "lmdb:FOLDER or aerospike://HOST:PORT/NAMESPACE"


def open_store(url: str) -> FeatureStore:
    """Open the store at `url` for reading, in the process that reads.

    Raises:
        InvalidInputError: `url` names no kind of store.
        UnavailableError: it cannot be opened.
    """
    kind, _, rest = url.partition(":")
    if kind == "lmdb" and rest:
        from features.adapters.lmdb_store import LmdbStore  # noqa: PLC0415 - loads its library

        return LmdbStore(Path(rest))
    raise InvalidInputError.of("features", read=url, accepted=_ACCEPTED)


def open_writer(url: str) -> FeatureWriter:
    """Open the store at `url` for loading.

    Raises:
        InvalidInputError: `url` names no kind of store.
        UnavailableError: it cannot be opened.
    """
    kind, _, rest = url.partition(":")
    if kind == "lmdb" and rest:
        from features.adapters.lmdb_writer import LmdbWriter  # noqa: PLC0415 - loads its library

        return LmdbWriter(Path(rest))
    raise InvalidInputError.of("features", read=url, accepted=_ACCEPTED)
