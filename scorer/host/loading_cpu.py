"""Restriction of loading to one CPU, which serving scorers avoid while a version loads or exits.

The restriction lasts a moment longer: the host's own work and reports at each change disturb as
well, and versions often start and stop one after the other.

At each change and every second the CPUs of each process are determined again, and set for
processes whose CPUs differ from those set before, and for new ones, which may run anywhere.
Processes without a difference are left alone, because they may have been moved by hand.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable, Collection

import structlog

from scorer.decisions.cpu_division import CpuDivision, CpuUser, cpus_by_pid, divide_cpus
from scorer.machine.affinity import cpu_seconds_of, cpus_of, set_cpus

LINGER_S = 0.5
_log = structlog.get_logger()


class LoadingCpu:
    """Divides the CPUs among the scorers of this host. `users` returns the current ones."""

    def __init__(
        self,
        allowed: frozenset[int],
        users: Callable[[], Collection[CpuUser]],
        *,
        every_s: float = 1.0,
        linger_s: float = LINGER_S,
        now_s: Callable[[], float] = time.monotonic,
        cpu_seconds: Callable[[int], float | None] = cpu_seconds_of,
    ) -> None:
        self._every_s = every_s
        self._linger_s = linger_s
        self._apart_until_s = -math.inf  # monotonic
        self._allowed = allowed
        self._can_divide = len(allowed) > 1
        self._users = users
        self._given: dict[int, frozenset[int]] = {os.getpid(): allowed}
        self._are_apart = False  # the serving scorers avoid the loading CPU
        self._busy_cpus = 0.0
        self._spent_s: dict[int, float] = {}
        self._now_s = now_s
        self._cpu_seconds = cpu_seconds
        self._measured_at_s = now_s()

    async def keep_arranged(self) -> None:
        """Measure and arrange periodically until cancelled; return if there is nothing to do."""
        while self._can_divide:
            self._measure()
            self.arrange()
            await asyncio.sleep(self._every_s)

    def arrange(self) -> None:
        """Give each process its current CPUs; to be called whenever one starts or ends."""
        if not self._can_divide:
            return
        users = self._users()
        division = self._division(loads=self._keeps_apart(users))
        self._are_apart = division.serving != self._allowed
        wanted = cpus_by_pid(users, division, host_pid=os.getpid())
        self._given = {
            pid: cpus
            for pid, cpus in wanted.items()
            if self._given.get(pid) == cpus or self._give(pid, cpus)
        }

    def _keeps_apart(self, users: Collection[CpuUser]) -> bool:
        """Return whether a version loads or exits, or recently did, and schedule a check if so."""
        now_s = self._now_s()
        if any(user.keeps_apart for user in users):
            self._apart_until_s = now_s + self._linger_s
            return True
        left_s = self._apart_until_s - now_s
        if left_s > 0:
            asyncio.get_running_loop().call_later(left_s, self.arrange)
        return left_s > 0

    def _division(self, *, loads: bool) -> CpuDivision:
        if not loads:
            return CpuDivision(self._allowed, self._allowed)
        return divide_cpus(self._allowed, busy_cpus=self._busy_cpus, are_apart=self._are_apart)

    @staticmethod
    def _give(pid: int, cpus: frozenset[int]) -> bool:
        """Set the CPUs and return whether that succeeded; failures are retried."""
        try:
            if cpus_of(pid) != cpus:
                set_cpus(pid, cpus)
        except ProcessLookupError:  # it ended
            return True
        except OSError as error:
            _log.warning("cpus_not_set", pid=pid, cpus=sorted(cpus), why=str(error))
            return False
        return True

    def _measure(self) -> None:
        now_s = self._now_s()
        spent_s = {
            user.pid: seconds
            for user in self._users()
            if user.pid and not user.keeps_apart
            if (seconds := self._cpu_seconds(user.pid)) is not None
        }
        used_s = sum(
            max(0.0, seconds - self._spent_s[pid])
            for pid, seconds in spent_s.items()
            if pid in self._spent_s
        )
        if now_s > self._measured_at_s:
            self._busy_cpus = used_s / (now_s - self._measured_at_s)
        self._spent_s, self._measured_at_s = spent_s, now_s
