"""The forms and keys of the unit keys that a comparison counts."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from understudy.domain.logged_ids import StatedIds
from understudy.logs.finished_files import finished_files
from understudy.logs.schema import LogKind
from understudy.runtime.files_by_ids import forms_in


def unit_forms(
    log_dir: Path, kind: LogKind, model: str, *, first_at: datetime, last_at: datetime
) -> tuple[StatedIds, ...]:
    """Return the forms and keys that a log's files of a model state, for the days of a period."""
    first, last = f"date={first_at:%Y-%m-%d}", f"date={last_at:%Y-%m-%d}"
    return forms_in(
        [
            path
            for path in finished_files(log_dir, kind)
            if path.parent.parent.name == f"model={model}" and first <= path.parent.name <= last
        ]
    )


def warnings_of(forms: Sequence[StatedIds]) -> list[str]:
    """Return a warning if one unit may be counted as several, once for each form of its key."""
    if len(forms) < 2:  # noqa: PLR2004 - one form, or none stated
        return []
    # The digests of one unit under two keys are equal to those of two units.
    warning = (
        f"unit keys are written in {len(forms)} forms ({'; '.join(map(str, forms))}): "
        "a unit counts once for each, so intervals may be too narrow; "
        "--since the last change of the log key avoids it"
    )
    return [warning]
