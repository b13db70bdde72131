"""An object as a file that is read in parts, e.g. some columns of a Parquet file."""

import io

from understudy.runtime.object_store import ObjectStore, StoredObject

_TAIL_BYTES = 64 << 10  # that are read at once: the end of a Parquet file describes the rest


class ObjectFile(io.RawIOBase):
    """The bytes of one object. Each read is a call to the store, but for those of its end."""

    def __init__(self, store: ObjectStore, stored: StoredObject) -> None:
        self._store, self._stored = store, stored
        self._at = 0
        self._tail_at = max(0, stored.size_bytes - _TAIL_BYTES)
        self._tail: bytes | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stored.size_bytes}
        self._at = max(0, base[whence] + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, fewer only at the end.

        Raises:
            NotFoundError: the object was removed or replaced.
            UnavailableError: the store does not answer, or refuses.
        """
        left = max(0, self._stored.size_bytes - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        content = self._part(self._at, wanted) if wanted else b""
        self._at += len(content)
        return content

    def _part(self, start: int, length: int) -> bytes:
        if start < self._tail_at:
            return self._store.read_part(self._stored, start, length)
        if self._tail is None:
            size_bytes = self._stored.size_bytes - self._tail_at
            self._tail = self._store.read_part(self._stored, self._tail_at, size_bytes)
        return self._tail[start - self._tail_at :][:length]
