"""The files of one log writer: open, closed, or waiting for the disk.

Used only by the log's thread. A file is closed and kept if appending to it fails; its rows are
finished when the disk accepts writes again.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from understudy.domain.logged_ids import LoggedIds
from understudy.logs.columns import FileKey, schema_of
from understudy.logs.decisions.rolling import RollPolicy, Unfinished, due_files
from understudy.logs.journal import Journal
from understudy.logs.offered_rows import CountsInMemory, are_held, read_counts, remove_counts
from understudy.logs.schema import LogKind
from understudy.logs.statements import Ended, WriterStatement, state_end
from understudy.logs.workspace import (
    Workspace,
    abandoned_workspaces,
    folder_of,
    new_writer_id,
    open_workspace,
)


@dataclass(frozen=True, slots=True)
class Finished:
    """Rows that have become visible."""

    kind: LogKind
    model: str
    rows: int
    path: Path
    lost_rows: int = 0  # appended, but not found again
    torn_bytes: int = 0  # at the end of the journal, of a record batch that is incomplete


@dataclass(frozen=True, slots=True)
class _Closed:
    kind: LogKind
    model: str
    path: Path
    rows: int
    workspace: Workspace  # that the journal is in; the writer may have another one since


@dataclass(slots=True)
class LogFiles:
    root: Path
    ids: LoggedIds
    roll: RollPolicy
    now_s: Callable[[], float]  # monotonic
    pause: Callable[[], None]  # called between slices of work
    writer_id: str = field(default_factory=new_writer_id)
    _workspace: Workspace | None = None
    _lost_folders: int = 0
    _journals: int = 0  # opened in this writer's life: a number that came twice would hide a file
    # The least recently used file comes first.
    _open: dict[FileKey, tuple[Journal, float]] = field(default_factory=dict)
    _closed: deque[_Closed] = field(default_factory=deque)

    @property
    def folder(self) -> Path:
        """The folder of this writer's unfinished files; it may not exist."""
        return folder_of(self.root, self.writer_id)

    @property
    def is_open(self) -> bool:
        """The folder of this writer is there: it could be written to once."""
        return self._workspace is not None

    def schema_of(self, key: FileKey) -> pa.Schema:
        entry = self._open.get(key)
        return entry[0].schema if entry else schema_of(key, self.ids)

    def append(self, key: FileKey, batch: pa.RecordBatch) -> None:
        """Append all rows of `batch`.

        Raises:
            OSError: the write failed; none of the rows will appear in a file.
        """
        journal = self._journal_of(key, batch.schema)
        try:
            journal.append(batch)
        except OSError:
            self._close(key)
            raise

    def finish_due(self, *, everything: bool = False) -> Iterator[Finished]:
        """Make due files, or all files, visible one by one; resume files that failed before.

        Raises:
            OSError: the write failed; the rows are kept for the next call.
        """
        by_name = {str(journal.path): key for key, (journal, _) in self._open.items()}
        due = (
            list(by_name)
            if everything
            else due_files(
                [
                    Unfinished(str(journal.path), journal.rows, journal.size_bytes, opened_at_s)
                    for journal, opened_at_s in self._open.values()
                ],
                self.roll,
                now_s=self.now_s(),
            )
        )
        for name in due:
            self._close(by_name[name])
        while self._closed:
            finished = self._finish(self._closed[0])
            self._closed.popleft()
            yield finished

    def recover(self) -> Iterator[Finished]:
        """Make the rows of dead writers visible, one file at a time.

        Raises:
            OSError: the write failed; the rows stay where they are.
        """
        for workspace in abandoned_workspaces(self.root):
            try:
                for path in workspace.journals():
                    target = workspace.target_of(path)
                    found = workspace.finish(path, self.pause)
                    kind, model = workspace.log_of(path)
                    yield Finished(kind, model, found.rows, target, torn_bytes=found.torn_bytes)
                self._state_killed(workspace.writer_id)
            except OSError:
                workspace.release()
                raise
            workspace.remove()

    def _state_killed(self, writer_id: str) -> None:
        """State the end of a dead writer. One whose folder was moved away and came back lives."""
        if are_held(writer_id):
            return
        # Its last rows may have no gap behind them: only its counts know of them.
        state_end(self.root, WriterStatement(writer_id, Ended.KILLED, read_counts(writer_id)))
        remove_counts(writer_id)

    def open(self) -> None:
        """Create the writer's folder, by which others find its rows if it is killed.

        One that was removed or moved away is left: its rows are lost, unless it comes back.

        Raises:
            OSError: the directory cannot be written, or its disk does not answer.
        """
        if self._workspace is not None and not self._workspace.is_in_place:
            self._leave(self._workspace)
        if self._workspace is None:
            self._workspace = open_workspace(self.root, self.writer_id, earlier=self._lost_folders)

    def close(self, counts: CountsInMemory) -> None:
        """Close all files and state the rows that were offered; unfinished files are left.

        Raises:
            OSError: the statement cannot be written; the next start does it.
        """
        for key in list(self._open):
            self._close(key)
        workspace, self._workspace = self._workspace, None
        try:
            if not self._closed:
                if rows := counts.rows():
                    state_end(self.root, WriterStatement(self.writer_id, Ended.CLOSED, rows))
                counts.remove()
                if workspace is not None:
                    workspace.remove()
        finally:
            if workspace is not None:
                workspace.release()

    def _leave(self, lost: Workspace) -> None:
        for key in list(self._open):
            self._close(key)
        lost.release()
        self._workspace = None
        self._lost_folders += 1

    def _journal_of(self, key: FileKey, schema: pa.Schema) -> Journal:
        entry = self._open.pop(key, None)
        if entry is None:
            while len(self._open) >= self.roll.open_at_once:
                self._close(next(iter(self._open)))
            workspace = self._opened()
            self._journals += 1
            entry = (workspace.open_journal(key, schema, self._journals), self.now_s())
        self._open[key] = entry
        return entry[0]

    def _opened(self) -> Workspace:
        self.open()
        if self._workspace is None:
            raise AssertionError("an opened writer has no folder")
        return self._workspace

    def _close(self, key: FileKey) -> None:
        journal, _ = self._open.pop(key)
        journal.close()
        if journal.rows == 0:  # the first write failed: nothing to keep
            journal.path.unlink(missing_ok=True)
            return
        if self._workspace is None:
            raise AssertionError("an open journal has no workspace")
        self._closed.append(
            _Closed(key.kind, key.model, journal.path, journal.rows, self._workspace)
        )

    def _finish(self, closed: _Closed) -> Finished:
        target = closed.workspace.target_of(closed.path)
        if closed.workspace is not self._workspace:
            # Lost with its folder. If that comes back, the process that finds it finishes the rows.
            return Finished(closed.kind, closed.model, 0, target, lost_rows=closed.rows)
        found = closed.workspace.finish(closed.path, self.pause)
        lost_rows = closed.rows - found.rows
        return Finished(
            *(closed.kind, closed.model, found.rows, target, lost_rows, found.torn_bytes)
        )
