"""The reference names every setting, with its default, and every metric, with its kind."""

import re
from pathlib import Path

import pytest

from router.edge.log_books import LogBooks
from router.edge.metrics import RouterCollector
from router.settings import RouterSettings
from tests.router.world import open_world
from understudy.control.belief import Belief
from understudy.logs.shipping_report import ShippingReport, write_report
from understudy.logs.writer import LogWriter

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "router.md"


def test_every_setting_is_in_the_reference() -> None:
    settings_part = PAGE.read_text().split("## Settings")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", settings_part, re.MULTILINE)
    documented = {
        name: default
        for names, defaults in rows
        for name, default in zip(
            re.findall(r"`(\w+)`", names), defaults.replace("`", "").split(", "), strict=False
        )
    }

    declared = {
        name: "must be given"
        if field.is_required()
        else getattr(field.default, "value", field.default)
        for name, field in RouterSettings.model_fields.items()
    }

    assert set(documented) == set(declared)
    for name, default in declared.items():
        shown = documented[name].replace("empty", "")
        is_number = isinstance(default, int | float) and not isinstance(default, bool)
        assert float(shown) == default if is_number else shown.lower() == str(default).lower()


@pytest.mark.stopped_clock
async def test_every_metric_is_in_the_reference_with_its_kind(tmp_path: Path) -> None:
    metrics_part = PAGE.read_text().split("## Metrics")[1].split("\n## ")[0]
    documented = {
        (name, kind)
        for names, kind in re.findall(r"^\| (`.+?) \| (\w+) \|", metrics_part, re.MULTILINE)
        for name in re.findall(r"`(\w+)", names)
    }
    write_report(tmp_path, ShippingReport(target="s3://logs", at_s=0.0))
    async with open_world() as world:
        books = LogBooks(LogWriter(tmp_path / "logs"), tmp_path)
        books.read_report()
        families = [*RouterCollector(world.pipeline, dict, list, Belief(), books).collect()]

    served = {(each.name.removeprefix("understudy_router_"), each.type) for each in families}
    assert documented == served
