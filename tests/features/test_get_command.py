"""`features get`: one record as serving reads it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.features.builders import MIXED, MIXED_VALUES, NOW_MS, NOW_S, a_record, a_view, floats
from understudy.domain.errors import CheckFailedError
from understudy.features.cli.commands import app
from understudy.features.cli.get_command import stored_record
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.stores import open_writer
from understudy.features.views import load_views
from understudy.runtime import exit_codes

VIEW = a_view(features=MIXED, ttl_s=3600.0)
ON_FILE = """
views:
  - {name: user, version: 1, entity: user, features: [{name: age, dtype: int64}]}
  - {name: basket, version: 1, kind: request, features: [{name: amount, dtype: float64}]}
"""


def test_a_record_is_shown_with_its_age_and_the_status_of_each_value() -> None:
    record = a_record(VIEW, {**MIXED_VALUES, "city": None}, created_time_ms=NOW_MS + 1000)

    found = stored_record(VIEW, "u", record, now_s=NOW_S + 90)

    assert (found.age_s, found.is_expired) == (90.0, False)
    assert found.event_time == datetime.fromtimestamp(NOW_S, UTC)
    assert found.created_time == datetime.fromtimestamp(NOW_S + 1, UTC)
    shown = {each.feature: (each.value, each.status) for each in found.values}
    assert shown["age"] == (41, "present")
    assert shown["amount"] == (1.5, "stale")  # at most 60 s old
    assert shown["city"] == (None, "absent")


@pytest.mark.parametrize(("age_s", "is_expired"), [(3600.0, False), (3601.0, True), (-5.0, False)])
def test_a_record_beyond_the_time_to_live_is_expired(age_s: float, *, is_expired: bool) -> None:
    found = stored_record(VIEW, "u", a_record(VIEW), now_s=NOW_S + age_s)

    assert (found.age_s, found.is_expired) == (age_s, is_expired)


def test_a_record_of_another_definition_is_an_error() -> None:
    other = a_view(features=floats(2))

    with pytest.raises(CheckFailedError, match="another definition of user@1"):
        stored_record(VIEW, "u", a_record(other, {"f0": 1.0}), now_s=NOW_S)


def test_the_command_shows_a_record_and_says_when_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "views.yaml").write_text(ON_FILE)
    view = load_views(tmp_path / "views.yaml")[0]
    url = f"lmdb:{tmp_path / 'store'}"
    writer = open_writer(url)
    record = pack_record(record_format(view), {"age": 7}, event_time_ms=NOW_MS)
    writer.write(view, [("u1", record)], mark=None)
    writer.close_now()

    def get(*words: str) -> tuple[int, str]:
        places = ("--views", str(tmp_path / "views.yaml"), "--store", url)
        result = CliRunner().invoke(app, ["get", *words, *places])
        return result.exit_code, result.stdout

    code, shown = get("u1", "--output", "json")
    assert code == exit_codes.OK
    assert json.loads(shown)[0]["values"] == [{"feature": "age", "value": 7, "status": "present"}]
    assert get("nobody")[0] == exit_codes.USAGE
    assert get("u1", "--view", "basket")[0] == exit_codes.USAGE
    code, shown = get("u1")
    assert code == exit_codes.OK
    assert "user@1 u1: event time 2025-11-24" in shown
