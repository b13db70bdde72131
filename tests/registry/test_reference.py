"""The reference names every setting of the registry, with its default."""

import re
from pathlib import Path

from registry.settings import RegistrySettings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "registry.md"
UNITS = {"": 1, " MiB": 1 << 20, " GiB": 1 << 30}


def value_of(text: str) -> object:
    """Return the default that a cell shows: a number with its unit, a text, "required" or "none"."""
    number = re.fullmatch(r"([0-9.]+)( [MG]iB|)", text)
    if text in {"none", "true", "false"}:
        return {"none": None, "true": True, "false": False}[text]
    return float(number[1]) * UNITS[number[2]] if number else text.strip("`")


def test_every_setting_is_in_the_reference_with_its_default() -> None:
    settings_part = PAGE.read_text().split("## Settings")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|", settings_part, re.MULTILINE)
    documented = {
        name.strip("`").lower(): value_of(default)
        for names, defaults in rows
        for name, default in zip(names.split(", "), defaults.split(", "), strict=True)
    }

    assert documented == {
        name: "required" if field.is_required() else field.default
        for name, field in RegistrySettings.model_fields.items()
    }
