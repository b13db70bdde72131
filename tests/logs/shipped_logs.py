"""Logs of a few units in an object store, and the effect of an erasure on their readers."""

from pathlib import Path

from tests.logs.builders import AT_US, DAY_US, outcome_batch, score_batch, shadow_batch
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.domain.store_urls import StoreUrl
from understudy.logs.accounts import accounts_of
from understudy.logs.decisions.shipping import ShippingPolicy
from understudy.logs.places import LogPlace
from understudy.logs.reader import open_logs
from understudy.logs.shipping import Shipper
from understudy.logs.store_upkeep import remove_unit_in_store
from understudy.logs.writer import LogWriter
from understudy.runtime.object_store import ObjectStore

KEY = b"sixteen bytes..."
IDS = LoggedIds(IdForm.KEYED, KEY)
NOW_S = 2e9  # after all files
KEPT = ShippingPolicy(keep_s=1e10, most_local_bytes=1 << 40)
AT_ONCE = ShippingPolicy(keep_s=0, most_local_bytes=1 << 40)
LOGS = ("score", "shadow", "outcomes")


def written(root: Path, days: int) -> Path:
    with LogWriter(root, ids=IDS) as writer:
        for day in range(days):
            at_us, first = AT_US + day * DAY_US, 10 * day
            given = {"first": first, "at_us": at_us, "entity_ids": ["u0", "u1", "u2"]}
            writer.offer(score_batch(3, **given))  # type: ignore[arg-type]  # passed on
            writer.offer(shadow_batch(**given))  # type: ignore[arg-type]  # passed on
            writer.offer(outcome_batch(first=first, at_us=at_us))
        candidates = ["u1", "u3"]
        writer.offer(score_batch(2, first=90, entity_ids=["u2", "u2"], candidate_ids=candidates))
    return root


def url_of(tmp_path: Path) -> StoreUrl:
    return StoreUrl("", str(tmp_path / "objects"))


def shipped(root: Path, url: StoreUrl, policy: ShippingPolicy = AT_ONCE) -> ObjectStore:
    store = ObjectStore.open(url)
    assert Shipper(root, store, policy).ship(NOW_S).trouble == ""
    return store


def erase(store: ObjectStore, unit: str = "u1") -> int:
    return remove_unit_in_store(store, unit, IDS, model=None, dry_run=False).rows


def requests(place: ObjectStore | StoreUrl, log: str = "score") -> list[str]:
    """Return the ids in a log, as its readers see them; each row must be there once, or stated."""
    url = place.url if isinstance(place, ObjectStore) else place
    with LogPlace(url).opened() as folder:
        with open_logs(folder) as reader:
            rows = reader.rows(f"SELECT request_id FROM {log} ORDER BY request_id")  # noqa: S608 - ours
        if log == "score":  # the accounts are of all logs
            assert all(each.is_whole for each in accounts_of(folder, "fraud"))
    return [row["request_id"] for row in rows]


def has_u1(store: ObjectStore) -> bool:
    (digest,) = IDS.written(["u1"])
    keys = [each.key for log in LOGS for each in store.listed(log)]
    return any(digest.encode() in store.read(key) for key in keys)
