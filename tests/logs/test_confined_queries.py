"""Queries that are not ours: they see the views, and reach no file."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.logs.builders import outcome_batch, score_batch, shadow_batch
from understudy.domain.errors import InvalidInputError
from understudy.logs.finished_files import finished_files
from understudy.logs.reader import (
    LogReader,
    open_logs,
    open_logs_to_any_query,
    open_logs_unsafely,
)
from understudy.logs.schema import LogKind
from understudy.logs.writer import LogWriter

Open = Callable[[Path], AbstractContextManager[LogReader]]
CANARY = "canary-7f3a"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("written")
    with LogWriter(root) as writer:
        writer.offer(score_batch(3))
        writer.offer(score_batch(2, width=0, version=8, candidate_ids=["a", "b"]))
        writer.offer(shadow_batch())
        writer.offer(outcome_batch([0.0, 1.0, 1.0]))
    return root


@pytest.fixture
def log_dir(tmp_path: Path, written: Path) -> Path:
    """Return a log directory beside a secret that no query may show."""
    (tmp_path / "secret.csv").write_text(f"text\n{CANARY}\n")
    return Path(shutil.copytree(written, tmp_path / "logs"))


@pytest.fixture
def confined(log_dir: Path) -> Iterator[LogReader]:
    with open_logs_to_any_query(log_dir) as reader:
        yield reader


def everything_below(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", LogKind)
def test_a_confined_query_sees_the_same_rows_as_our_own(log_dir: Path, kind: LogKind) -> None:
    query = f"SELECT * FROM {kind.value} ORDER BY ALL"  # noqa: S608 - our names only

    with open_logs(log_dir) as ours, open_logs_to_any_query(log_dir) as theirs:
        expected, found = ours.table(query), theirs.table(query)

    assert expected.num_rows
    assert found.equals(expected)


def test_files_of_other_versions_are_read_alike(log_dir: Path) -> None:
    (file, *_) = finished_files(log_dir, LogKind.SHADOW)
    table = pq.read_table(file, partitioning=None)
    strange = pa.array(range(table.num_rows))
    table = table.drop_columns(["candidate_id"]).append_column("strange", strange)
    pq.write_table(table, file.with_name("other.parquet"))
    query = "SELECT * FROM shadow ORDER BY ALL"

    with open_logs(log_dir) as ours, open_logs_to_any_query(log_dir) as theirs:
        assert theirs.table(query).equals(ours.table(query))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('{outside}/*')",
        "SELECT * FROM sniff_csv('{secret}')",
        "SELECT * FROM read_parquet('{log}')",
        "SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')",
        "COPY (SELECT 1) TO '{outside}/out.csv'",
        "COPY (SELECT 1) TO '{log}' (USE_TMP_FILE false)",
        "WITH x AS (COPY (SELECT 1) TO '{log}' (FORMAT parquet, USE_TMP_FILE false)) SELECT 1",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{outside}/out.csv'",
        "EXPORT DATABASE '{outside}/out'",
        "ATTACH '{outside}/out.db' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{outside}/out.duckdb_extension'",
        "SELECT * FROM read_csv('https://192.0.2.1/x.csv')",
        "SELECT getenv('HOME')",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "PRAGMA enable_profiling",
        "CREATE SECRET (TYPE http)",
        "CALL enable_logging(storage = 'file', storage_config = {{'path': '{outside}/out'}})",
    ],
)
def test_a_query_that_reaches_beyond_the_views_is_refused(
    confined: LogReader, log_dir: Path, query: str
) -> None:
    (log, *_) = finished_files(log_dir, LogKind.SHADOW)
    before = everything_below(log_dir.parent)
    text = query.format(secret=log_dir.parent / "secret.csv", outside=log_dir.parent, log=log)

    with pytest.raises(InvalidInputError, match="query: read") as refused:
        confined.table(text)

    assert CANARY not in str(refused.value)
    assert everything_below(log_dir.parent) == before


prefixes = st.sampled_from(["{logs}/..", "{logs}/score/../..", "{outside}", "file://{outside}"])


@given(prefix=prefixes, reading=st.sampled_from(["read_text", "read_blob", "read_csv", "glob"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # reads only
def test_no_spelling_of_a_path_reaches_a_file(
    confined: LogReader, log_dir: Path, prefix: str, reading: str
) -> None:
    path = prefix.format(logs=log_dir, outside=log_dir.parent) + "/secret.csv"

    with pytest.raises(InvalidInputError):
        confined.table(f"SELECT * FROM {reading}('{path}')")  # noqa: S608 - ours


@pytest.mark.parametrize("opened", [open_logs, open_logs_to_any_query])
@pytest.mark.parametrize("link", ["score/model=fraud/date=2026-11-18/x.parquet", "score/model=x"])
def test_a_link_out_of_the_directory_is_refused_by_name(
    log_dir: Path, opened: Open, link: str
) -> None:
    target = log_dir.parent / "elsewhere"
    target.mkdir()
    pq.write_table(pa.table({"request_id": [CANARY]}), target / "x.parquet")
    (log_dir / link).symlink_to(target / "x.parquet" if link.endswith("t") else target)

    with pytest.raises(InvalidInputError, match=rf"{link}: read 'a link out"), opened(log_dir):
        pass


def test_a_file_that_arrow_cannot_read_hides_no_other(log_dir: Path) -> None:
    (file, *_) = finished_files(log_dir, LogKind.SHADOW)
    file.with_name("bad.parquet").write_bytes(b"none")

    with open_logs_to_any_query(log_dir) as reader:
        (counted,) = reader.rows("SELECT count(*) AS n FROM shadow")

    assert counted["n"]
    assert [each.path.name for each in reader.left_out] == ["bad.parquet"]


def test_an_unsafe_query_has_the_rights_of_its_caller(log_dir: Path) -> None:
    with open_logs_unsafely(log_dir) as reader:
        rows = reader.rows(f"SELECT * FROM read_csv('{log_dir.parent / 'secret.csv'}')")  # noqa: S608 - ours

    assert rows == [{"text": CANARY}]
