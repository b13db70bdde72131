"""The scorers that have answered this router. Others are unproven: a report alone makes none ready.

A report may be old: a registry names silent hosts, and a router remembers scorers over its own
restarts. So each reported scorer is asked once before it gets a call, and again until it answers:
that it serves its version, and from the registered artifact. It is asked anew if another process
turns out to listen at its address.
"""

import asyncio
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog

from router.ports import ClosableScorer
from understudy.domain.errors import CorruptedError, UnderstudyError
from understudy.domain.snapshots import News, ScorerState, Snapshot
from understudy.domain.versions import VersionRef

_ASK_LIMIT_S = 1.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReportedScorer:
    """A scorer that is said to be ready."""

    ref: VersionRef
    address: str
    artifact_digest: str  # of the registered artifact
    has_other_artifact: bool = False  # as its host reports: it is not even asked
    host_id: str | None = None  # the host that reported it, whose name its certificate must have


@dataclass(frozen=True, slots=True)
class UnprovenScorer:
    """A scorer that is said to be ready, and has not answered yet."""

    scorer: ReportedScorer
    why: str  # the last failure; "" before the first one
    has_other_artifact: bool  # it answers, but loaded another artifact than the registered one


class _Asking:
    """The asking of one scorer, until it answers."""

    def __init__(self) -> None:
        self.was_asked = asyncio.Event()
        self.why = ""
        self.has_other_artifact = False
        self.task: asyncio.Task[None] | None = None

    def take(self, scorer: ReportedScorer, failure: Exception) -> None:
        """Take the reason of an unsuccessful question; log it if it is the first of its kind."""
        why = str(failure) if isinstance(failure, UnderstudyError) else type(failure).__name__
        facts = {"version": str(scorer.ref), "address": scorer.address, "why": why}
        has_other_artifact = isinstance(failure, CorruptedError)
        if has_other_artifact and not self.has_other_artifact:
            _log.error("scorer_loaded_other_artifact", **facts)
        elif not self.why:
            _log.warning("scorer_unproven", **facts)
        self.why, self.has_other_artifact = why, has_other_artifact
        self.was_asked.set()


class FirstAnswers:
    """Asks reported scorers whether they serve their versions."""

    def __init__(
        self,
        scorer_at: Callable[[str], ClosableScorer],
        tasks: asyncio.TaskGroup,
        *,
        answered: Callable[[], None],
    ) -> None:
        """`answered` is called after a scorer's first answer, also if it loaded another artifact, and when
        a proof was withdrawn.
        """
        self._scorer_at = scorer_at
        self._tasks = tasks
        self._answered = answered
        self._proven: set[ReportedScorer] = set()
        self._asking: dict[ReportedScorer, _Asking] = {}

    async def ask(self, reported: AbstractSet[ReportedScorer]) -> None:
        """Ask scorers that are new in `reported`; return when each of them was asked once.

        That takes at most a second. Scorers that do not answer are asked again in the background;
        those that are no longer reported are forgotten.
        """
        self._forget_all_but(reported)
        new = reported - self._proven - self._asking.keys()
        for asking in [self._begin(scorer) for scorer in new]:
            await asking.was_asked.wait()

    def ask_again(self, address: str) -> None:
        """Withdraw the proof of the scorer at an address until it answers again, in the background."""
        withdrawn = {each for each in self._proven if each.address == address}
        self._proven -= withdrawn
        for scorer in withdrawn:
            self._begin(scorer)
        if withdrawn:
            self._answered()

    def _begin(self, scorer: ReportedScorer) -> _Asking:
        self._asking[scorer] = asking = _Asking()
        name = f"first answer:{scorer.ref}"
        asking.task = self._tasks.create_task(self._until_answered(scorer, asking), name=name)
        return asking

    def proven(self) -> AbstractSet[tuple[VersionRef, str]]:
        """Return the scorers that have answered, by version and address."""
        return {(each.ref, each.address) for each in self._proven}

    def foreign(self) -> AbstractSet[VersionRef]:
        """Return the versions of which a scorer loaded another artifact."""
        return {each.scorer.ref for each in self.unproven() if each.has_other_artifact}

    def unproven(self) -> Iterator[UnprovenScorer]:
        for scorer, asking in self._asking.items():
            yield UnprovenScorer(scorer, asking.why, asking.has_other_artifact)

    def close(self) -> None:
        """Ask no more."""
        self._forget_all_but(frozenset())

    async def _until_answered(self, scorer: ReportedScorer, asking: _Asking) -> None:
        pause_s = _FIRST_PAUSE_S
        try:
            while (failure := await self._failure(scorer)) is not None:
                was_known = asking.has_other_artifact
                asking.take(scorer, failure)
                if asking.has_other_artifact is not was_known:
                    self._answered()
                await asyncio.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            self._proven.add(scorer)
            del self._asking[scorer]
            self._answered()
        finally:
            asking.was_asked.set()

    async def _failure(self, scorer: ReportedScorer) -> Exception | None:
        """Ask once; return the reason if the scorer does not answer that it is ready."""
        if scorer.has_other_artifact:
            return CorruptedError(f"the host of {scorer.address} reports another artifact")
        try:
            at = self._scorer_at(scorer.address)
            await at.require_ready(scorer.ref, scorer.artifact_digest, timeout_s=_ASK_LIMIT_S)
        except UnderstudyError as error:
            return error
        except Exception as error:  # noqa: BLE001 - boundary: a bug must not end the other tasks
            _log.exception("first_answer_failed", address=scorer.address)
            return error
        return None

    def _forget_all_but(self, reported: AbstractSet[ReportedScorer]) -> None:
        self._proven &= reported
        for gone in self._asking.keys() - reported:
            if (task := self._asking.pop(gone).task) is not None:
                task.cancel()


def reported_addresses(snapshot: Snapshot) -> dict[VersionRef, tuple[str, ...]]:
    """Return the addresses of scorers said to be ready, those of hosts that report first."""
    reporting = {host.host_id for host in snapshot.hosts if host.news is News.REPORTING}
    found: dict[VersionRef, list[tuple[bool, str]]] = {}
    for process in snapshot.scorers:
        if process.state is ScorerState.READY and process.address:
            by_hearsay = process.host_id not in reporting
            found.setdefault(process.ref, []).append((by_hearsay, process.address))
    return {ref: tuple(address for _, address in sorted(each)) for ref, each in found.items()}


def reporting_hosts(snapshot: Snapshot) -> dict[str, str]:
    """Return the host that reported each address; of several the first by name, one that reports.

    Two hosts at one address cannot both be right: the certificate at the address tells.
    """
    reporting = {host.host_id for host in snapshot.hosts if host.news is News.REPORTING}
    found: dict[str, str] = {}
    for each in sorted(
        snapshot.scorers, key=lambda each: (each.host_id not in reporting, each.host_id)
    ):
        found.setdefault(each.address, each.host_id)
    return found


def reported_scorers(snapshot: Snapshot) -> frozenset[ReportedScorer]:
    """Return the scorers said to be ready, each with the artifact that it must have loaded."""
    declared = {spec.ref: spec.artifact_digest for spec in snapshot.versions}
    hosts = reporting_hosts(snapshot)
    return frozenset(
        ReportedScorer(
            each.ref,
            each.address,
            declared.get(each.ref, each.artifact_digest),
            each.has_other_artifact,
            hosts.get(each.address),
        )
        for each in snapshot.scorers
        if each.state is ScorerState.READY and each.address
    )
