"""Output of registered versions, each with the part that it plays."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from registry.cli.contract_output import needs_rows
from registry.cli.named_version import NamedVersion, print_named_json
from registry.cli.output import DIGEST_SHOWN, approval_text, print_evidence, shown_time
from registry.cli.status_output import parts_of
from understudy.control.wire_values import ref_from_wire
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.plain_text import shown
from understudy.runtime.terminal.screen import Screen


def print_versions(
    versions: Sequence[pb.Version], status: pb.GetStatusResponse, output: Format
) -> None:
    """Print versions with their parts."""
    if output is Format.JSON:
        print_json([_version_dict(each, status) for each in versions])
        return
    Screen().table(
        (
            "version",
            "part",
            "life",
            "approval",
            "tags",
            "artifact",
            "provenance",
            "registered",
            "by",
        ),
        [
            (
                str(ref_from_wire(each.ref)),
                _shown_parts(each, status),
                ", ".join(name for name, _ in _marks(each)) or "in use",
                approval_text(each.approval),
                ", ".join(each.tags),
                each.artifact_digest[:DIGEST_SHOWN],
                each.provenance_digest[:DIGEST_SHOWN],
                shown_time(each.registered_at),
                each.registered_by,
            )
            for each in versions
        ],
    )


def print_version(
    version: pb.Version, status: pb.GetStatusResponse, output: Format, named: NamedVersion
) -> None:
    """Print one version with its parts and its record."""
    if output is Format.JSON:
        print_named_json(_version_dict(version, status), named)
        return
    score, screen = version.score_output, Screen()
    screen.table(
        ("field", "value"),
        [
            ("version", f"{version.ref.model}@{version.ref.number}"),
            ("part", _shown_parts(version, status)),
            (
                "registered",
                f"{shown(shown_time(version.registered_at))} by {version.registered_by}",
            ),
            ("tags", ", ".join(version.tags) or "none"),
            *[(name, _shown_mark(mark)) for name, mark in _marks(version)],
            *_origin_rows(version),
            ("content", version.content_digest),
            ("approval", _shown_approval(version.approval)),
            ("artifact", version.artifact_digest),
            ("provenance", version.provenance_digest),
            ("inputs", _tensors(version.inputs)),
            ("outputs", _tensors(version.outputs)),
            ("score", f"{score.output}, column {score.column}"),
            ("features", "\n".join(version.feature_set)),
            *needs_rows(version),
            ("record", json.dumps(json.loads(version.provenance_json), indent=1)),
        ],
    )
    print_evidence(version.evidence, screen)


def _marks(version: pb.Version) -> list[tuple[str, pb.VersionMark]]:
    retired = [("retired", version.retired)] if version.HasField("retired") else []
    return retired + ([("collected", version.collected)] if version.HasField("collected") else [])


def _shown_mark(mark: pb.VersionMark) -> str:
    return f"{shown(shown_time(mark.at))} by {mark.actor}: {mark.reason}"


def _origin_rows(version: pb.Version) -> list[tuple[str, str]]:
    if not version.HasField("origin"):
        return []
    origin = version.origin
    at, ref = shown(shown_time(origin.registered_at)), f"{origin.ref.model}@{origin.ref.number}"
    return [("origin", f"{ref} of registry {origin.lineage}, {at} by {origin.registered_by}")]


def _shown_parts(version: pb.Version, status: pb.GetStatusResponse) -> str:
    return "; ".join(parts_of(version.ref, status)) or "none"


def _shown_approval(approval: pb.Approval) -> str:
    """Return the approvals with their reasons and the time until which each counts."""
    return "\n".join(
        [
            approval_text(approval),
            *(
                f"{each.actor}, until {shown(shown_time(each.expires))}: {each.reason}"
                for each in approval.approvals
            ),
        ]
    )


def _tensors(tensors: Iterable[pb.TensorSpec]) -> str:
    return "\n".join(f"{t.name} {t.datatype} {list(t.shape)}" for t in tensors)


def _version_dict(version: pb.Version, status: pb.GetStatusResponse) -> dict[str, Any]:
    content = message_value(version)
    content["provenance"] = json.loads(content.pop("provenance_json") or "null")
    return {**content, "parts": parts_of(version.ref, status)}
