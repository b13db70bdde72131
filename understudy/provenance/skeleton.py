"""A record that lists every field, filled in with the facts that this machine knows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from understudy.provenance.code_facts import code_source
from understudy.provenance.environment_facts import environment_facts
from understudy.provenance.fields import Part
from understudy.provenance.record import SCHEMA_VERSION, Provenance


def record_skeleton(directory: Path, lockfile: Path | None, *, author: str) -> dict[str, Any]:
    """Return a record for a training in `directory`, with null for facts that people must supply."""
    record = _empty(Provenance)
    record["schema_version"] = SCHEMA_VERSION
    record["code"]["source"] = code_source(directory)
    record["environment"] = environment_facts(lockfile)
    record["people"]["author"] = author
    record["run"]["builder"] = author
    record["run"]["started_at"] = datetime.now(UTC).isoformat()
    return record


def _empty(part: type[BaseModel]) -> dict[str, Any]:
    return {
        field.alias or name: _empty_value(field.annotation)
        for name, field in part.model_fields.items()
    }


def _empty_value(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return _empty(annotation)
    arguments = get_args(annotation)
    # A list of parts is shown with one part, so that its fields are visible.
    if Ellipsis in arguments and isinstance(arguments[0], type) and issubclass(arguments[0], Part):
        return [_empty(arguments[0])]
    return None
