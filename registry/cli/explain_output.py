"""Output of `registry explain`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from understudy.domain.deployments import DegradationLevel
from understudy.domain.features import FeatureScalar
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.plain_text import shown
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from registry.cli.explanations import Explanation

_ABSENT = "absent"


def print_explanations(found: "Sequence[Explanation]", output: Format, *, left_out: int) -> None:
    """Print explanations; `left_out` is the number of rows of the request that are not explained."""
    if output is Format.JSON:
        print_json({"rows": found, "left_out": left_out})
        return
    screen = Screen()
    for each in found:
        _print(each, screen)
    if left_out:
        Screen(stderr=True).say(
            f"{left_out} rows of this request are left out: --limit, --candidate"
        )


def _print(found: "Explanation", screen: Screen) -> None:
    answer = found.answer
    screen.say(
        f"{answer['request_id']}: score {answer['score']:g} by {found.model}@{answer['version']} as "
        f"{answer['arm']} under revision {answer['revision']}, {shown(answer['at_utc'])} UTC"
    )
    rows = [*_answer_rows(answer), *_version_rows(found.version), *_revision_rows(found.revision)]
    screen.table(("fact", "value"), [(name, _ABSENT if v is None else v) for name, v in rows])
    if found.features:
        screen.table(
            ("feature", "value", "status", "age"),
            [
                (
                    each.name,
                    _value(each.value),
                    each.status,
                    each.age,
                )
                for each in found.features
            ],
            title="features",
        )
    for each in found.absent:
        screen.say(f"absent: {each}")


def _answer_rows(answer: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "unit key", answer["unit_key"]
    if answer["candidate_id"] is not None:
        yield "candidate", answer["candidate_id"]
    if answer["assigned_version"] is not None:
        share = f"{answer['assigned_bp'] / 100:g}%"
        yield "assigned to", f"@{answer['assigned_version']}, {answer['assigned_arm']} with {share}"
    yield "level", f"L{answer['level']}, {DegradationLevel(answer['level']).name.lower()}"
    yield "decision", answer["decision"]
    yield "rule", answer["rule"] or "none decided"


def _version_rows(version: dict[str, Any] | None) -> Iterator[tuple[str, object]]:
    if version is None:
        yield "version", None
        return
    yield "registered", f"{shown(version['registered_at'])} by {version['registered_by']}"
    yield "author, approver", f"{version['author']}, {version['approver']}, by its record"
    names = ", ".join(each["actor"] for each in version["approvals"])
    yield "approvals now", names or "none that count"
    yield "artifact", f"{version['artifact_digest']}; its list of files {version['list_of_files']}"
    record = version["provenance_record"]
    yield "provenance", f"{version['provenance_digest']}; its record {record}"
    yield "verified now", version["verified_now"] or "not asked for (--verify)"


def _revision_rows(revision: dict[str, Any] | None) -> Iterator[tuple[str, object]]:
    if revision is None:
        yield "revision", None
        return
    yield "revision", f"{revision['revision']}, digest {revision['digest']}"
    yield "made", _origin(revision["made"])
    yield "part in it", revision["part"]
    if revision["part_given"] is not None:
        before = ", or before" if revision["part_given_or_before"] else ""
        yield "part given", f"{_origin(revision['part_given'])}{before}"
    row = revision["audit_row"]
    yield "audit row", None if row is None else f"{row}, digest {revision['audit_digest']}"
    then = revision["declared_at_that_time"]
    lag = "" if then == revision["revision"] else ", another one than the router served"
    yield "declared then", None if then is None else f"revision {then}{lag}"
    if revision["rule"] is not None:
        rule = revision["rule"]
        yield "rule read", f"{rule['feature']} {rule['operator']} {rule['value']:g}"


def _origin(origin: dict[str, Any]) -> str:
    return (
        f"revision {origin['revision']}, {origin['action']} by {origin['by']}, "
        f"{shown(origin['at'])}: {origin['reason']}"
    )


def _value(value: FeatureScalar | None) -> str:
    if value is None:
        return _ABSENT
    return f"{value:g}" if isinstance(value, float) else str(value)
