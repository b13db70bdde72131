"""Output of `understudy features audit`."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from understudy.features.history.audit import AuditReport


def print_audit(report: "AuditReport", output: Format) -> None:
    """Print the parity of each feature, the values of each status, and the worst cases."""
    features = [
        {**asdict(feature), "mismatch_rate": feature.mismatch_rate} for feature in report.features
    ]
    if output is Format.JSON:
        print_json({**asdict(report), "mismatch_rate": report.mismatch_rate, "features": features})
        return
    screen = Screen()
    screen.say(f"{report.matched_rows} of {report.logged_rows} logged rows are in the history")
    for other in report.other_ids:
        screen.say(f"left out, because ids are written in another way: {other}")
    _say_unknown(report, screen)
    columns = ("name", "compared", "mismatches", "mismatch_rate", "largest_difference")
    screen.rows(features, columns=(*columns, "late", "replaced", "unknown"))
    _say_statuses(report, screen)
    if report.left_out:
        screen.say(f"not compared: {', '.join(report.left_out)}")
    for feature in report.features:
        for case in feature.worst:
            screen.say(
                f"  {feature.name}: {case.key} was served {case.served:.9g} ({case.status}), "
                f"history has {case.expected:.9g}"
            )


def _say_unknown(report: "AuditReport", screen: Screen) -> None:
    if report.unmatched_rows:
        screen.say(f"unknown: {report.unmatched_rows} others have values of the store")
    if report.unknown_rows:
        screen.say(f"unknown: {report.unknown_rows} rows that a version scored have no values")
    if report.rows_of_unknown_ingestion:
        screen.say(
            f"ingestion time unknown in {report.rows_of_unknown_ingestion} rows: "
            "a record that was loaded late counts there as a mismatch"
        )


def _say_statuses(report: "AuditReport", screen: Screen) -> None:
    """Show the values of each status, if there is any but the usual one."""
    rows = [
        {"name": feature.name, **asdict(each)}
        for feature in report.features
        for each in feature.by_status
    ]
    if any(row["status"] != "present" for row in rows):
        screen.rows(rows, columns=("name", "status", "values", "mismatches"))
