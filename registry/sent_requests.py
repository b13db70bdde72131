"""The requests in the score log that a change of the request contract would refuse."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from registry.decisions.refused_requests import Counted
from understudy.domain.request_contract import RequestContract, SentParts, is_refused
from understudy.logs.finished_files import Scope
from understudy.logs.reader import open_logs
from understudy.logs.sent_names import names_in

_SENT = """
    SELECT sent_entities, sent_features, count(DISTINCT request_id) AS requests,
           min(at_utc) AS first_at, max(at_utc) AS last_at
    FROM score WHERE model = $model GROUP BY ALL
"""


def count_refused(
    logs: Path, model: str, before: RequestContract, after: RequestContract
) -> Counted:
    """Return the logged requests of `model` that `after` refuses and `before` does not.

    Raises:
        NotFoundError: the log directory does not exist.
        UnavailableError: a log cannot be read.
    """
    with open_logs(logs, Scope(model)) as reader:
        rows = reader.rows(_SENT, {"model": model})
    known = [row for row in rows if row["sent_entities"] is not None]
    return Counted(
        requests=_sum(rows),
        refused=_sum(row for row in known if _becomes_refused(row, before, after)),
        unknown=_sum(row for row in rows if row["sent_entities"] is None),
        first_at=min((row["first_at"] for row in rows), default=None),
        last_at=max((row["last_at"] for row in rows), default=None),
    )


def _sum(rows: Iterable[dict[str, Any]]) -> int:
    return sum(row["requests"] for row in rows)


def _becomes_refused(row: dict[str, Any], before: RequestContract, after: RequestContract) -> bool:
    sent = SentParts(names_in(row["sent_entities"]), names_in(row["sent_features"]))
    return is_refused(sent, after) and not is_refused(sent, before)
