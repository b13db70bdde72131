"""The forms and keys of the unit keys that a comparison counts."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from understudy.domain.logged_ids import StatedIds
from understudy.logs.finished_files import Scope, finished_files
from understudy.logs.readable_files import LeftOut, readable_files
from understudy.logs.schema import LogKind
from understudy.runtime.files_by_ids import forms_in


def unit_forms(
    log_dir: Path, kind: LogKind, model: str, *, first_at: datetime, last_at: datetime
) -> tuple[StatedIds, ...]:
    """Return the forms and keys that a log's files of a model state, for the days of a period."""
    scope = Scope(model, first_at.date(), last_at.date())
    paths, _ = readable_files(finished_files(log_dir, kind, scope), kind)
    return forms_in(paths)


def warnings_of(forms: Sequence[StatedIds], left_out: Sequence[LeftOut] = ()) -> list[str]:
    """Return a warning if a unit may count once for each form of its key, and one per file left out."""
    unread = [
        f"a file was left out, and its rows are missing: {each.path.name}, {each.why}"
        for each in left_out
    ]
    if len(forms) < 2:  # noqa: PLR2004 - one form, or none stated
        return unread
    # The digests of one unit under two keys are equal to those of two units.
    warning = (
        f"unit keys are written in {len(forms)} forms ({'; '.join(map(str, forms))}): "
        "a unit counts once for each, so intervals may be too narrow; "
        "--since the last change of the log key avoids it"
    )
    return [*unread, warning]
