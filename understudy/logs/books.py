"""The mirror's ledger as far as the logs alone can give it."""

from dataclasses import dataclass
from pathlib import Path

from understudy.logs.ledger import MirrorLedger
from understudy.logs.reader import open_logs


@dataclass(frozen=True, slots=True)
class LoggedBooks:
    """Logged mirrored rows of one shadow. Rows that were not sent are in the router's status."""

    shadow: int
    ok: int
    error: int
    timeout: int
    unanswered: int  # shadow rows without a row in the score log; 0 once all files are finished

    @property
    def ledger(self) -> MirrorLedger:
        """The part of the router's ledger that the logs can confirm."""
        sent = self.ok + self.error + self.timeout
        return MirrorLedger(offered=sent, ok=self.ok, error=self.error, timeout=self.timeout)


@dataclass(frozen=True, slots=True)
class ModelBooks:
    model: str
    answered: int  # rows of the score log; each was offered to every shadow of its time
    shadows: tuple[LoggedBooks, ...]


def read_books(log_dir: Path, model: str) -> ModelBooks:
    """Return the ledgers of `model`'s shadows.

    Raises:
        NotFoundError: the directory does not exist.
        UnavailableError: the logs cannot be read.
    """
    with open_logs(log_dir) as reader:
        answered = reader.rows(
            "SELECT count(*) AS rows FROM score WHERE model = $model", {"model": model}
        )
        shadows = reader.rows(
            """
            SELECT shadow_version AS shadow,
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
    return ModelBooks(model, answered[0]["rows"], tuple(LoggedBooks(**row) for row in shadows))
