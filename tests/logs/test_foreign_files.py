"""Foreign, truncated and damaged files in a log directory: named, and they hide no rows of others."""

from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.builders import DATE, outcome_batch, score_batch, shadow_batch
from tests.logs.test_faults import score_account
from understudy.domain.errors import UnavailableError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.domain.merged_files import replaces
from understudy.domain.store_urls import StoreUrl
from understudy.logs.books import read_books
from understudy.logs.compaction import compact_files
from understudy.logs.decisions.shipping import ShippingPolicy
from understudy.logs.find_request import rows_of_request
from understudy.logs.latest import latest_rows
from understudy.logs.reader import LogReader, open_logs, open_logs_to_any_query
from understudy.logs.schema import SCHEMA_VERSION, VERSION_KEY, LogKind
from understudy.logs.shipping import Shipper
from understudy.logs.store_upkeep import remove_unit_in_store
from understudy.logs.upkeep import remove_days_before, remove_unit
from understudy.logs.writer import LogWriter
from understudy.runtime.object_store import ObjectStore

IDS = LoggedIds(IdForm.KEYED, b"sixteen bytes...")
OWN, OTHERS = 4, 3  # rows of the model of the file, and of another one
FOLDER = f"score/model=fraud/date={DATE}"
AT_ONCE = ShippingPolicy(keep_s=0, most_local_bytes=1 << 40)


class Logs:
    """The bytes of a directory with two models; a file of the first one is to be changed."""

    def __init__(self, files: dict[str, bytes], whole: bytes) -> None:
        self.files, self.whole = files, whole

    def written_to(self, root: Path, content: bytes, name: str = "v7-changed.parquet") -> Path:
        for path, each in self.files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(each)
        file = root / FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Logs:
    root = tmp_path_factory.mktemp("logs")
    with LogWriter(root, ids=IDS) as writer:
        writer.offer(score_batch(OWN, width=3))
        writer.offer(score_batch(OTHERS, first=OWN, model="twin", width=3))
        writer.offer(shadow_batch(model="twin"))
        writer.offer(outcome_batch(model="twin"))
    (own,) = (root / FOLDER).glob("*.parquet")
    whole = own.read_bytes()
    own.unlink()
    files = {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    return Logs(files, whole)


def counted(reader: LogReader) -> dict[str, int]:
    """Return the rows of each model; all columns are read."""
    return dict(Counter(reader.table("SELECT * FROM score")["model"].to_pylist()))


@st.composite
def changes(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Return a change of a file: some of its bytes, a cut, or other content altogether."""
    seed, bytes_changed = draw(st.integers(0, 2**32)), draw(st.sampled_from([1, 1, 2, 8, 64]))
    cut = draw(st.sampled_from([None, None, None, 0.0, 0.5, 0.99]))
    foreign = draw(st.one_of(st.none(), st.none(), st.none(), st.binary(max_size=200)))

    def change(whole: bytes) -> bytes:
        random, content = Random(seed), bytearray(whole if foreign is None else foreign)
        for _ in range(bytes_changed if content else 0):
            content[random.randrange(len(content))] = random.randrange(256)
        return bytes(content if cut is None else content[: int(len(content) * cut)])

    return change


READERS = [open_logs, open_logs_to_any_query]


def check_readers(logs: Logs, content: bytes, root: Path) -> None:
    file = logs.written_to(root, content)
    for opened in READERS:
        with opened(root) as reader:
            found = counted(reader)
            named = [each for each in reader.left_out if each.path == file.resolve()]
        assert found["twin"] == OTHERS
        assert len(named) == (0 if "fraud" in found else 1)
        assert all(each.why and "\n" not in each.why for each in named)


@given(changes())
@settings(max_examples=40)
def test_a_changed_file_is_named_or_read_and_hides_no_rows_of_others(
    logs: Logs, tmp_path_factory: pytest.TempPathFactory, change: Callable[[bytes], bytes]
) -> None:
    check_readers(logs, change(logs.whole), tmp_path_factory.mktemp("changed"))


@pytest.mark.long
@pytest.mark.timeout(1_200)  # a minute or two of CPU, and busy machines are slow
@given(changes())
@settings(max_examples=500)
def test_many_changed_files_are_named_or_read_and_hide_no_rows_of_others(
    logs: Logs, tmp_path_factory: pytest.TempPathFactory, change: Callable[[bytes], bytes]
) -> None:
    check_readers(logs, change(logs.whole), tmp_path_factory.mktemp("changed"))


def damaged(whole: bytes) -> bytes:
    """Return a file whose description is whole, and whose rows are not."""
    footer_bytes = int.from_bytes(whole[-8:-4], "little") + 8
    return whole[:4] + b"\xff" * (len(whole) - footer_bytes - 4) + whole[-footer_bytes:]


def check_commands(logs: Logs, content: bytes, root: Path) -> None:
    """Check that commands act on the rows of the other model, whatever the file is."""
    logs.written_to(root, content)
    twin = [f"r{OWN + row}" for row in range(OTHERS)]

    newest = latest_rows(root, LogKind.SCORE, model=None, rows=100)
    assert [each["request_id"] for each in newest if each["model"] == "twin"] == twin
    assert read_books(root, "twin").answered == OTHERS
    assert all(account.is_whole for account in read_books(root, "twin").writers)
    assert len(rows_of_request(root, twin[0])) == 1
    erased = remove_unit(root, "u0", IDS, model=None, dry_run=True)
    assert erased.rows >= 1  # of the shadow log of the other model
    remove_days_before(root, date(2100, 1, 1), model=None, dry_run=True)
    compact_files(root, model=None, small_bytes=1 << 20, dry_run=False)
    objects = StoreUrl("", str(root.with_name(f"{root.name}-objects")))
    store = ObjectStore.open(objects)
    assert Shipper(root, store, AT_ONCE).ship(2e9).trouble == ""
    assert not list((root / "score" / "model=twin").rglob("*.parquet")), "they stay unshipped"
    erased = remove_unit_in_store(store, "u0", IDS, model=None, dry_run=False)
    assert erased.rows >= 1
    remove_days_before(root, date(2100, 1, 1), model=None, dry_run=False)


@given(changes())
@settings(max_examples=8)
def test_no_command_ends_at_a_changed_file(
    logs: Logs, tmp_path_factory: pytest.TempPathFactory, change: Callable[[bytes], bytes]
) -> None:
    check_commands(logs, change(logs.whole), tmp_path_factory.mktemp("changed") / "logs")


@pytest.mark.long
@pytest.mark.timeout(1_200)  # a minute or two of CPU, and busy machines are slow
@given(changes())
@settings(max_examples=100)
def test_no_command_ends_at_many_changed_files(
    logs: Logs, tmp_path_factory: pytest.TempPathFactory, change: Callable[[bytes], bytes]
) -> None:
    check_commands(logs, change(logs.whole), tmp_path_factory.mktemp("changed") / "logs")


@pytest.mark.parametrize("change", [damaged, lambda whole: whole[:-1], lambda _: b""])
def test_commands_act_beside_a_damaged_file(
    logs: Logs, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    check_commands(logs, change(logs.whole), tmp_path / "logs")


def test_a_file_that_is_damaged_behind_its_description_is_named_by_the_query_that_meets_it(
    logs: Logs, tmp_path: Path
) -> None:
    file = logs.written_to(tmp_path, damaged(logs.whole))

    with open_logs(tmp_path) as reader:
        before = reader.left_out
        reader.keep("kept", "SELECT model, score FROM score", {})
        kept = reader.rows("SELECT model, count(*) AS n FROM kept GROUP BY ALL")
        streamed = sum(len(batch) for batch in reader.batches("SELECT * FROM score"))
        (left_out,) = reader.left_out

    assert before == ()
    assert kept == [{"model": "twin", "n": OTHERS}]
    assert streamed == OTHERS
    assert left_out.path == file
    books = read_books(tmp_path, "fraud")
    assert [each.path for each in books.left_out] == []  # counts need no rows of it
    assert score_account(tmp_path).missing_rows == OWN


def test_a_file_that_goes_while_it_is_read_is_no_damaged_one(logs: Logs, tmp_path: Path) -> None:
    """Its rows are in a merged file that was not opened: an answer without them would be wrong."""
    file = logs.written_to(tmp_path, logs.whole)

    with open_logs(tmp_path) as reader:
        file.unlink()
        with pytest.raises(UnavailableError):
            reader.table("SELECT * FROM score")


def test_a_request_that_a_damaged_file_may_have_is_not_called_unknown(
    logs: Logs, tmp_path: Path
) -> None:
    logs.written_to(tmp_path, damaged(logs.whole))

    with pytest.raises(UnavailableError, match="a damaged file may have the request"):
        rows_of_request(tmp_path, "r0")


def test_rows_in_a_damaged_file_are_not_called_erased(logs: Logs, tmp_path: Path) -> None:
    logs.written_to(tmp_path, damaged(logs.whole))

    done = remove_unit(tmp_path, "u0", IDS, model="fraud", dry_run=False)

    assert (done.rows, done.left_out) == (0, 1)


def test_a_foreign_file_replaces_no_file_of_ours(logs: Logs, tmp_path: Path) -> None:
    """Names in its metadata must neither hide files nor remove them, here and in the store."""
    logs.written_to(tmp_path, logs.whole)
    (twin,) = (tmp_path / "score" / "model=twin").rglob("*.parquet")
    names = ["v7-changed.parquet", f"../../model=twin/date={DATE}/{twin.name}"]
    for name, version in (
        ("v1-foreign.parquet", b"0"),
        ("v1-ours.parquet", SCHEMA_VERSION.encode()),
    ):
        metadata = {VERSION_KEY: version, **replaces(names)}
        table = pa.table({"a": [1]}).replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / FOLDER / name)
    store = ObjectStore.open(StoreUrl("", str(tmp_path.with_name(f"{tmp_path.name}-objects"))))

    with open_logs(tmp_path) as reader:
        assert counted(reader) == {"fraud": OWN, "twin": OTHERS}
        assert len(reader.left_out) == 2
    Shipper(tmp_path, store, ShippingPolicy(keep_s=1e10, most_local_bytes=1 << 40)).ship(2e9)
    compact_files(tmp_path, model=None, small_bytes=1, dry_run=False)

    assert twin.exists()
    assert len(list(store.listed("score"))) == 4
    with open_logs(tmp_path) as reader:
        assert counted(reader) == {"fraud": OWN, "twin": OTHERS}


def test_a_file_of_ours_replaces_files_of_its_folder_only(logs: Logs, tmp_path: Path) -> None:
    file = logs.written_to(tmp_path, logs.whole)
    (twin,) = (tmp_path / "score" / "model=twin").rglob("*.parquet")
    table = pq.ParquetFile(file).read()
    stated = replaces([f"../../model=twin/date={DATE}/{twin.name}"])
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, **stated}), file)

    compact_files(tmp_path, model=None, small_bytes=1, dry_run=False)

    assert twin.exists()
