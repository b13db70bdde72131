"""The JSON schemas of `understudy compare --output json`, made from the reports' types.

`python -m tools.report_schemas` writes docs/reference/compare.schema.json; `--check` compares it.
"""

import json
import sys
from pathlib import Path

from pydantic import TypeAdapter

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.compare_arms import ArmReport

FILE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "compare.schema.json"


def schemas_text() -> str:
    """Return the schema of a document: of a shadow's comparison, or of arms."""
    parts: list[dict[str, object]] = []
    definitions: dict[str, object] = {}
    for report in (ComparisonReport, ArmReport):
        schema = TypeAdapter(report).json_schema(mode="serialization")
        definitions |= schema.pop("$defs")
        parts.append({"title": report.__name__, **schema})
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "understudy compare --output json",
        "anyOf": parts,
        "$defs": definitions,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Write the file, or with `--check` compare it: 1 if it differs."""
    text = schemas_text()
    if "--check" in sys.argv[1:]:
        return int(not FILE.exists() or FILE.read_text(encoding="utf-8") != text)
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
