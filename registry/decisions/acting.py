"""The acting champions that the reports of routers imply. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from understudy.domain.acting import ActingChampion, acting_by_reports
from understudy.domain.deployments import Arm, Deployment
from understudy.domain.reports import RouterModelState, RouterReport


def is_known(before: Mapping[str, ActingChampion], report: RouterReport) -> bool:
    """Return whether `report` says about acting champions only what the records say already.

    Args:
        before: the records so far, by model.
        report: a router's report.
    """
    return all(
        (known := before.get(state.model)) is not None
        and replace(seen, since_ns=known.since_ns) == known
        for state in report.models
        if (seen := _seen(state, now_ns=0)) is not None
    )


def acting_changes(
    before: Mapping[str, ActingChampion],
    deployments: Iterable[Deployment],
    reports: Iterable[RouterReport],
    *,
    now_ns: int,
) -> tuple[ActingChampion, ...]:
    """Return the records that differ from `before`.

    Args:
        before: the records so far, by model.
        deployments: the current revisions; reports about other revisions do not count.
        reports: those of all routers that report.
        now_ns: UTC, since 1970.
    """
    seen: dict[tuple[str, int], list[ActingChampion]] = {}  # by model and revision
    for report in reports:
        for state in report.models:
            if (acting := _seen(state, now_ns=now_ns)) is not None:
                seen.setdefault((acting.model, acting.revision), []).append(acting)
    changed: list[ActingChampion] = []
    for deployment in deployments:
        known = before.get(deployment.model)
        record = acting_by_reports(known, seen.get((deployment.model, deployment.revision), []))
        if record is not None and record != known:
            changed.append(record)
    return tuple(changed)


def _seen(state: RouterModelState, *, now_ns: int) -> ActingChampion | None:
    if state.champion is None:
        return None
    because = next((part.reason for part in state.withheld if part.arm is Arm.CHAMPION), None)
    return ActingChampion(state.model, state.champion, state.revision, now_ns, because)
