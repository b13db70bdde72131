"""Log files by the form and key of their ids."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.errors import InvalidInputError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.logs.schema import LogKind, schema_of_kind, with_facts
from understudy.runtime.files_by_ids import files_by_ids

RULES = (
    LoggedIds(IdForm.KEYED, b"the first key of all"),
    LoggedIds(IdForm.KEYED, b"the second key of all"),
    LoggedIds(IdForm.UNKEYED),
    LoggedIds(IdForm.PLAIN),
)
COLUMNS = schema_of_kind(LogKind.SHADOW)


def write_file(path: Path, ids: LoggedIds | None) -> Path:
    schema = COLUMNS if ids is None else with_facts(COLUMNS, ids=ids)
    pq.write_table(schema.empty_table(), path)
    return path


@given(
    ids=st.sampled_from(RULES),
    written=st.lists(st.sampled_from((*RULES, None)), min_size=1, max_size=6),
)
def test_a_search_that_can_find_nothing_is_refused_and_files_left_out_are_named(
    ids: LoggedIds, written: Sequence[LoggedIds | None]
) -> None:
    with TemporaryDirectory() as folder:
        paths = [
            write_file(Path(folder) / f"{place}.parquet", each)
            for place, each in enumerate(written)
        ]
        searchable = [
            path for path, each in zip(paths, written, strict=True) if each in {ids, None}
        ]
        others = {(each.form, each.key_id or None) for each in written if each not in {ids, None}}

        if not searchable:
            with pytest.raises(InvalidInputError) as caught:
                files_by_ids(paths, ids)
            assert ids.key_id in str(caught.value)
            assert all((key_id or form) in str(caught.value) for form, key_id in others)
            return
        found = files_by_ids(paths, ids)

    assert list(found.searchable) == searchable
    assert found.unstated == list(written).count(None)
    assert {(each.form, each.key_id) for each in found.others} == others
    assert sum(each.files for each in found.others) == len(paths) - len(searchable)


def test_a_file_that_is_not_parquet_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a long path is cut
    path = Path("log.parquet")
    path.write_bytes(b"no log")

    with pytest.raises(InvalidInputError, match=r"log\.parquet"):
        files_by_ids([path], RULES[0])


def test_a_schema_without_metadata_states_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"a": [1]}), path, store_schema=False)

    assert files_by_ids([path], RULES[0]).unstated == 1
