"""Files of versions with different widths, read together by the readers that analysts use."""

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.logs.builders import AT_US, DATE, DAY_US, score_batch
from understudy.logs.finished_files import Scope
from understudy.logs.reader import open_logs
from understudy.logs.writer import LogWriter


@pytest.fixture
def score(tmp_path: Path) -> Path:
    """Write 7 rows of two models, five of them of `fraud`, and return the folder of the log."""
    statuses = np.full((1, 5), 3, np.uint8)
    with LogWriter(tmp_path) as writer:
        writer.offer(score_batch(2, width=2))
        writer.offer(score_batch(1, width=5, version=8, at_us=AT_US + DAY_US))
        writer.offer(score_batch(1, width=5, version=8, statuses=statuses, first=1))
        writer.offer(score_batch(1, width=0, first=2))
        writer.offer(score_batch(2, width=3, model="twin"))
    return tmp_path / "score"


@pytest.mark.parametrize(("folder", "rows"), [("", 7), ("model=fraud", 5)])
def test_arrow_reads_versions_of_any_width_together(score: Path, folder: str, rows: int) -> None:
    table = pq.read_table(score / folder)

    assert table.num_rows == rows
    assert table.schema.field("float_features").type == pa.list_(
        pa.field("element", pa.float32(), False)
    )
    assert ds.dataset(score / folder, partitioning="hive").count_rows() == rows


def test_duckdb_reads_versions_of_any_width_together(score: Path) -> None:
    with duckdb.connect() as connection:  # noqa: TID251 - as a stranger would
        lengths = connection.sql(
            f"SELECT len(float_features) AS n FROM '{score}/*/*/*.parquet' ORDER BY n NULLS FIRST"  # noqa: S608 - ours
        ).fetchall()

    assert [length for (length,) in lengths] == [None, 2, 2, 3, 3, 5, 5]


def test_only_files_of_the_model_and_the_days_asked_for_are_opened(score: Path) -> None:
    """A file that is no log is named once it is opened, so the names count the opened files."""
    day = date.fromisoformat(DATE)
    for model in ("fraud", "twin"):
        for distance in range(-3, 4):
            folder = score / f"model={model}" / f"date={day + timedelta(days=distance)}"
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(20):
                (folder / f"v1-{number}.parquet").write_bytes(b"no log")

    with open_logs(
        score.parent, Scope("fraud", since=day, until=day + timedelta(days=1))
    ) as reader:
        rows = reader.rows("SELECT count(*) AS n FROM score")
        opened = [each.path for each in reader.left_out]

    assert rows == [{"n": 5}]
    assert len(opened) == 2 * 20
    assert {path.parent.parent.name for path in opened} == {"model=fraud"}


def test_values_and_statuses_stay_in_their_rows(score: Path) -> None:
    rows = pq.read_table(score / "model=fraud").sort_by([("version", "ascending")]).to_pylist()

    found = {
        (row["version"], row["request_id"]): (row["float_features"], row["statuses"])
        for row in rows
    }
    tenth = np.arange(5, dtype=np.float32) / 10
    assert found[8, "r1"] == ((1 + np.arange(5) / 10).astype(np.float32).tolist(), [3] * 5)
    assert found[8, "r0"] == (tenth.tolist(), None)
    assert found[7, "r2"] == (None, None)
