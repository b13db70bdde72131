"""The books of a model's logs: the mirror's ledger, and the account of each writer."""

from dataclasses import dataclass
from pathlib import Path

from understudy.logs.accounts import WriterAccount, accounts_of
from understudy.logs.finished_files import Scope
from understudy.logs.ledger import MirrorLedger
from understudy.logs.readable_files import LeftOut
from understudy.logs.reader import open_logs


@dataclass(frozen=True, slots=True)
class LoggedBooks:
    """The logged rows of one shadow."""

    shadow: int
    ledger: MirrorLedger
    unanswered: int  # shadow rows without a row in the score log; 0 once all files are finished


@dataclass(frozen=True, slots=True)
class ModelBooks:
    model: str
    answered: int  # rows of the score log; those that a model of an arm scored were offered
    shadows: tuple[LoggedBooks, ...]
    writers: tuple[WriterAccount, ...]  # by log and writer
    left_out: tuple[LeftOut, ...]  # files that could not be read with the others


def read_books(log_dir: Path, model: str) -> ModelBooks:
    """Return the ledgers of `model`'s shadows, and the accounts of its writers.

    Raises:
        NotFoundError: the directory does not exist.
        UnavailableError: the logs cannot be read.
    """
    with open_logs(log_dir, Scope(model)) as reader:
        answered = reader.rows(
            "SELECT count(*) AS rows FROM score WHERE model = $model", {"model": model}
        )
        shadows = reader.rows(
            """
            SELECT shadow_version AS shadow,
                   count(*) AS offered,
                   count(*) FILTER (status = 'sampled_out') AS sampled_out,
                   count(*) FILTER (status = 'queue_full') AS dropped_queue_full,
                   count(*) FILTER (status = 'expired') AS dropped_expired,
                   count(*) FILTER (status = 'not_ready') AS dropped_not_ready,
                   count(*) FILTER (status = 'defaulted') AS dropped_defaulted,
                   count(*) FILTER (status = 'at_stop') AS dropped_at_stop,
                   count(*) FILTER (status = 'ok') AS ok,
                   count(*) FILTER (status = 'error') AS error,
                   count(*) FILTER (status = 'timeout') AS timeout,
                   count(*) FILTER (answer.request_id IS NULL) AS unanswered
            FROM shadow LEFT JOIN (
                SELECT DISTINCT request_id FROM score WHERE model = $model
            ) AS answer USING (request_id)
            WHERE model = $model GROUP BY shadow_version ORDER BY shadow_version
            """,
            {"model": model},
        )
    return ModelBooks(
        model,
        answered[0]["rows"],
        tuple(_books_of(row) for row in shadows),
        accounts_of(log_dir, model),
        reader.left_out,
    )


def _books_of(row: dict[str, int]) -> LoggedBooks:
    shadow, unanswered = row.pop("shadow"), row.pop("unanswered")
    return LoggedBooks(shadow, MirrorLedger(**row), unanswered)
