"""Feature stores by URL: `lmdb:FOLDER` or `aerospike://HOST:PORT/NAMESPACE`."""

import re
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from understudy.domain.errors import InvalidInputError
from understudy.domain.logged_ids import LoggedIds
from understudy.features.ports import FeatureWriter, InspectableStore
from understudy.features.serving.cached_store import CachedStore

if TYPE_CHECKING:
    from understudy.domain.features import FeatureView
    from understudy.features.adapters.aerospike_client import AerospikeOptions
    from understudy.features.adapters.aerospike_store import AerospikeStore
    from understudy.features.adapters.lmdb_store import LmdbStore
    from understudy.features.adapters.store_log import StoreLog
    from understudy.features.settings import AerospikeSettings

_READER = "understudy.features.reader"
_ACCEPTED = "lmdb:FOLDER or aerospike://HOST:PORT[,HOST:PORT…]/NAMESPACE"
_AEROSPIKE = re.compile(
    r"aerospike://(?P<hosts>[^/@:,]+:[0-9]{1,5}(,[^/@:,]+:[0-9]{1,5})*)/(?P<namespace>[\w-]{1,31})",
    re.ASCII,
)

# A store's libraries are imported when it is opened: each import is slow, and one is enough.


def open_store(url: str) -> InspectableStore:
    """Open the store at `url` for reading in this process, which damaged files may then end.

    Open it after a spawn, not before. An Aerospike store takes its settings from the environment
    (`FEATURES_AEROSPIKE_…`) and opens even if no server is reachable; reads then fail until one is.

    Raises:
        InvalidInputError: `url` names no known kind of store, or a setting is invalid.
        NotFoundError: it names a folder without a store, which reading does not create.
        UnavailableError: it cannot be opened.
    """
    return _cached(url, _open(url))


@asynccontextmanager
async def isolated_store(
    url: str, *, log: "StoreLog | None" = None, ids: LoggedIds | None = None
) -> AsyncIterator[InspectableStore]:
    """Open the store at `url` for reading through a process of its own, and close it.

    Whatever the store contains, or if it does not exist: only reads fail, until it is well.
    `log` receives its faults, with ids by the rule `ids` or without them; `InspectableStore.troubles` lists those of the moment.

    Raises:
        InvalidInputError: `url` names no known kind of store, or a setting is invalid.
    """
    from understudy.features.adapters.isolated_store import reading_process  # noqa: PLC0415 - see above

    check_store(url)
    # Damage of an LMDB file is found when it is opened; a foreign record only when it is read.
    puts_aside = _lmdb_path(url) is None
    async with reading_process(
        url,
        _READER,
        _opening_of(url),
        _signature_of(url),
        log=log,
        ids=ids,
        puts_aside=puts_aside,
    ) as store:
        yield _cached(url, store)


def _open(url: str) -> "LmdbStore | AerospikeStore":
    if path := _lmdb_path(url):
        from understudy.features.adapters.lmdb_store import LmdbStore  # noqa: PLC0415 - see above

        return LmdbStore(path)
    from understudy.features.adapters.aerospike_store import AerospikeStore  # noqa: PLC0415 - see above

    return AerospikeStore(_aerospike_options(url, _aerospike_settings()))


def _opening_of(url: str) -> "Path | AerospikeOptions":
    """Return the folder or options of the store: a reader that reads no settings starts faster."""
    return _lmdb_path(url) or _aerospike_options(url, _aerospike_settings())


def _signature_of(url: str) -> Callable[[], Hashable]:
    """Return a function whose result changes when a broken store is worth another try at once."""
    if path := _lmdb_path(url):
        from understudy.features.adapters.lmdb_environment import signature_of  # noqa: PLC0415 - see above

        return lambda: signature_of(path)
    return lambda: None


def _cached(url: str, store: InspectableStore) -> InspectableStore:
    """Return `store` behind a cache if the settings of its kind ask for one."""
    if _lmdb_path(url):
        return store
    settings = _aerospike_settings()
    if not settings.cache_ttl_s:
        return store
    return CachedStore(
        store,
        ttl_s=settings.cache_ttl_s,
        max_records=settings.cache_records,
        monotonic_s=monotonic,
    )


def check_store(url: str) -> None:
    """Refuse a URL or settings that will never lead to a store; the store itself may be away.

    Raises:
        InvalidInputError: `url` names no known kind of store, or a setting is invalid.
    """
    if not _lmdb_path(url):
        _aerospike_options(url, _aerospike_settings())


def check_view(url: str, view: "FeatureView") -> None:
    """Refuse a view with a setting that has no effect in the store at `url`.

    Raises:
        InvalidInputError: the view has a namespace or Feast's layout, and the store is not Aerospike.
    """
    from understudy.domain.record_layouts import FeastLayout  # noqa: PLC0415 - see above

    if isinstance(view.layout, FeastLayout) and _lmdb_path(url):
        accepted = "packed or bins: an LMDB store has no records of Feast"
        raise InvalidInputError.of(f"layout of {view}", read="feast", accepted=accepted)
    if view.namespace and _lmdb_path(url):
        accepted = "none: an LMDB store has no namespaces"
        raise InvalidInputError.of(f"namespace of {view}", read=view.namespace, accepted=accepted)


def require_store(url: str) -> None:
    """Refuse a store that is known not to exist, before a command reads from it.

    Raises:
        InvalidInputError: as for `check_store`.
        NotFoundError: `url` names a folder without a store.
    """
    check_store(url)
    if path := _lmdb_path(url):
        from understudy.features.adapters.lmdb_environment import check_environment  # noqa: PLC0415 - see above

        check_environment(path)


def open_writer(url: str) -> FeatureWriter:
    """Open the store at `url` for loading.

    Raises:
        InvalidInputError: `url` names no known kind of store.
        UnavailableError: the store cannot be opened.
    """
    if path := _lmdb_path(url):
        from understudy.features.adapters.lmdb_writer import LmdbWriter  # noqa: PLC0415 - see above

        return LmdbWriter(path)
    from understudy.features.adapters.aerospike_writer import AerospikeWriter  # noqa: PLC0415 - see above

    return AerospikeWriter(_aerospike_options(url, _aerospike_settings()))


def measure_clock_skew_s(url: str) -> float | None:
    """Return how far the clock of the store at `url` is ahead of ours; None if unknown.

    Raises:
        InvalidInputError: `url` names no known kind of store.
        UnavailableError: no server accepts the connection; the message gives the reason.
    """
    if _lmdb_path(url):
        return 0.0  # this machine's clock
    from understudy.features.adapters.aerospike_clock import clock_skew_s  # noqa: PLC0415 - see above

    return clock_skew_s(_aerospike_options(url, _aerospike_settings()))


def _lmdb_path(url: str) -> Path | None:
    kind, _, path = url.partition(":")
    if kind == "lmdb" and path:
        return Path(path)
    if not _AEROSPIKE.fullmatch(url):
        raise InvalidInputError.of("feature store", read=url, accepted=_ACCEPTED)
    return None


def _aerospike_settings() -> "AerospikeSettings":
    from understudy.features.settings import AerospikeSettings  # noqa: PLC0415 - see above
    from understudy.runtime.settings import load_settings  # noqa: PLC0415 - see above

    return load_settings(AerospikeSettings, {})


def _aerospike_options(url: str, settings: "AerospikeSettings") -> "AerospikeOptions":
    match = _AEROSPIKE.fullmatch(url)
    assert match is not None  # noqa: S101 - _lmdb_path has refused every other form
    pairs = [pair.rpartition(":") for pair in match["hosts"].split(",")]
    hosts = tuple((host, int(port)) for host, _, port in pairs)
    return settings.options(hosts, match["namespace"])
