"""The reference names every setting, with its default."""

import re
from pathlib import Path

from router.settings import RouterSettings

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
