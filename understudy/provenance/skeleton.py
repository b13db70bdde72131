"""A record with every field named, and filled where this machine knows the fact."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from understudy.provenance.code_facts import code_source
from understudy.provenance.environment_facts import environment_facts
from understudy.provenance.fields import Part
from understudy.provenance.record import SCHEMA_VERSION, Provenance


def record_skeleton(directory: Path, lockfile: Path | None, *, author: str) -> dict[str, Any]:
    """Return a record for a training in `directory`; null stands where people must speak."""
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
    # A list of parts is shown with one of them, so that its fields can be seen.
    if Ellipsis in arguments and isinstance(arguments[0], type) and issubclass(arguments[0], Part):
        return [_empty(arguments[0])]
    return None
