"""The digest of everything in a version that acts on a score, and of nothing else.

Two registrations with equal content answer equally, whatever their numbers, authors and registries.
"""

from dataclasses import asdict
from typing import Any

from understudy.domain.canonical import digest_of
from understudy.domain.snapshots import VersionSpec


def content_of_version(spec: VersionSpec) -> dict[str, Any]:
    """Return the parts of a version that act, as JSON values; large parts by their digests."""
    return {
        "artifact": spec.artifact_digest,
        "provenance": spec.provenance_digest,
        "inputs": [asdict(tensor) for tensor in spec.inputs],
        "outputs": [asdict(tensor) for tensor in spec.outputs],
        "feature_set": [str(ref) for ref in spec.feature_set],
        "feature_views": [
            {"view": str(view), "digest": view.digest} for view in spec.feature_views
        ],
        "score_output": {"output": spec.score_output.output, "column": spec.score_output.column},
        "golden_tolerance": spec.golden_tolerance,
        "column_inputs": list(spec.column_inputs),
        "joins_rows": spec.joins_rows,
    }


def content_digest_of(spec: VersionSpec) -> str:
    """Return the digest of the parts of a version that act.

    Raises:
        ValueError: a part is not JSON, e.g. the tolerance is not finite.
    """
    return digest_of("version_content/1", content_of_version(spec))
