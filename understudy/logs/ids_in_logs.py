"""The comparison of a form and key of ids with those of the files in a log directory."""

from pathlib import Path

from understudy.domain.errors import NotFoundError
from understudy.domain.logged_ids import LoggedIds
from understudy.logs.finished_files import finished_files
from understudy.logs.schema import LogKind
from understudy.runtime.files_by_ids import FilesByIds, files_by_ids

_KINDS_WITH_IDS = (LogKind.SCORE, LogKind.SHADOW)


def compare_ids(root: Path, ids: LoggedIds) -> FilesByIds:
    """Return the finished files below `root` by their form and key of ids.

    Raises:
        NotFoundError: the directory does not exist.
        InvalidInputError: all files state another form or key than `ids`; a file is no Parquet
            file; a link leads out of the directory.
    """
    if not root.is_dir():
        raise NotFoundError("log directory", root)
    paths = [path for kind in _KINDS_WITH_IDS for path in finished_files(root, kind)]
    return files_by_ids(paths, ids)
