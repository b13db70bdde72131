"""docs/reference/scorer.md agrees with the code."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from scorer.server.metrics import ScorerMetrics
from scorer.settings import HostSettings, ScorerSettings
from understudy.domain.versions import VersionRef
from understudy.runtime.settings import ProcessSettings

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "scorer.md"


def shown(default: Any) -> str:
    match default:
        case None:
            return "none"
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case _:
            return str(default)


@pytest.mark.parametrize("kind", [ScorerSettings, HostSettings])
def test_each_setting_is_in_the_reference_with_its_default(kind: type[ProcessSettings]) -> None:
    lines = REFERENCE.read_text().splitlines()
    prefix = kind.model_config["env_prefix"]

    for name, field in kind.model_fields.items():
        assert field.description, f"{name} has no description"
        default = "must be given" if field.is_required() else shown(field.default)
        line = f"| `{prefix}{name.upper()}` | {default} | {field.description} |"
        assert line in lines, line


def test_each_metric_is_in_the_reference() -> None:
    metrics = ScorerMetrics()
    metrics.loaded(VersionRef("m", 1), "digest")
    text = REFERENCE.read_text()

    for line in generate_latest(metrics.registry).decode().splitlines():
        if line.startswith("# HELP") and not line.split()[2].endswith("_created"):
            _, _, name, *description = line.split()
            assert f"| `{name}` | {' '.join(description)} |" in text
