"""Log files by the form and key of their ids, so that ids are looked up only where they can be found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.domain.errors import InvalidInputError
from understudy.domain.logged_ids import IdForm, LoggedIds, StatedIds, stated_ids
from understudy.runtime.log_key import LOG_IDS, LOG_KEY_FILE


@dataclass(frozen=True, slots=True)
class FilesOfIds:
    """Files that state the same form and key of ids."""

    form: str
    key_id: str | None  # None if there is no key
    files: int
    example: Path  # one of them

    def __str__(self) -> str:
        stated = StatedIds(self.form, self.key_id or "")
        return f"{stated} ({self.files} files, such as {self.example.name})"


@dataclass(frozen=True, slots=True)
class FilesByIds:
    """Files in which ids of one form and key can be found, and the others."""

    searchable: Sequence[Path]  # those that state this form and key, and those that state none
    unstated: int  # files among `searchable` without a statement: nothing could be compared
    others: tuple[FilesOfIds, ...]


def files_by_ids(paths: Sequence[Path], ids: LoggedIds) -> FilesByIds:
    """Return `paths` by the form and key that the metadata of each file states.

    Raises:
        InvalidInputError: a file is no Parquet file, or every file states another form or key than
            `ids`, so that a search would find nothing.
    """
    by_ids: dict[StatedIds | None, list[Path]] = {}
    for path in paths:
        by_ids.setdefault(_ids_stated_by(path), []).append(path)
    unstated = by_ids.pop(None, [])
    searchable = [*by_ids.pop(ids.stated, []), *unstated]
    others = tuple(
        FilesOfIds(stated.form, stated.key_id or None, len(files), files[0])
        for stated, files in sorted(by_ids.items(), key=_by_ids)
        if stated is not None
    )
    if others and not searchable:
        raise _mismatch(ids, others)
    return FilesByIds(sorted(searchable), len(unstated), others)


def forms_in(paths: Sequence[Path]) -> tuple[StatedIds, ...]:
    """Return the forms and keys of ids that files state, each once.

    Raises:
        InvalidInputError: a file is no Parquet file.
    """
    stated = {each for path in paths if (each := _ids_stated_by(path)) is not None}
    return tuple(sorted(stated))


def _by_ids(found: tuple[StatedIds | None, list[Path]]) -> str:
    return str(found[0])


def _mismatch(ids: LoggedIds, others: Sequence[FilesOfIds]) -> InvalidInputError:
    needs_a_key = any(each.form == IdForm.KEYED for each in others)
    option = LOG_KEY_FILE if ids.form is IdForm.KEYED and needs_a_key else LOG_IDS
    accepted = f"the form and key of the files: {'; '.join(map(str, others))}"
    return InvalidInputError.of(option, read=str(ids.stated), accepted=accepted)


def _ids_stated_by(path: Path) -> StatedIds | None:
    try:
        metadata = pq.read_schema(path).metadata
    except (OSError, pa.ArrowException, UnicodeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInputError.of(
            str(path), read=first_line, accepted="a Parquet file of a log"
        ) from error
    return stated_ids(metadata or {})
