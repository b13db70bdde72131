"""The feature store as a drill of L1 leaves it: away, as far as the router can see."""

from collections.abc import Callable, Sequence

from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import UnavailableError
from understudy.features.ports import FeatureStore, ViewRead


class DrilledStore:
    """`FeatureStore` that does not answer while the drill says L1; the breaker before it opens."""

    def __init__(self, store: FeatureStore, drill: Callable[[], DegradationLevel]) -> None:
        self._store = store
        self._drill = drill
        self.inline = store.inline

    def read_now(self, reads: Sequence[ViewRead]) -> list[list[bytes | None]]:
        self._check()
        return self._store.read_now(reads)

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        self._check()
        return await self._store.read(reads, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._store.close()

    def _check(self) -> None:
        if self._drill() is DegradationLevel.FEATURES:
            raise UnavailableError("feature store", "a drill of L1 is on")
