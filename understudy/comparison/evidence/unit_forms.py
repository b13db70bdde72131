"""The forms and keys of the unit keys that a comparison counts."""

from pathlib import Path

from understudy.comparison.evidence.rows import Question, VersionPair
from understudy.domain.logged_ids import StatedIds
from understudy.logs.finished_files import finished_files
from understudy.logs.schema import LogKind
from understudy.runtime.files_by_ids import forms_in


def unit_forms(log_dir: Path, question: Question, pair: VersionPair) -> tuple[StatedIds, ...]:
    """Return the forms and keys in the shadow log's files of the model, of the days of `pair`."""
    first, last = f"date={pair.first_at:%Y-%m-%d}", f"date={pair.last_at:%Y-%m-%d}"
    return forms_in(
        [
            path
            for path in finished_files(log_dir, LogKind.SHADOW)
            if path.parent.parent.name == f"model={question.model}"
            and first <= path.parent.name <= last
        ]
    )
