"""A worker of a router whose log takes batches and writes nothing: the other side of a ratio.

Batches are built and offered as ever; their conversion, compression and files are missing.
"""

from collections.abc import Sequence

import router.app
from router.cli.commands import app
from understudy.logs.batches import LogBatch
from understudy.logs.writer import LogWriter


class ForgetfulWriter(LogWriter):
    """Takes every batch and forgets it."""

    def offer(self, batch: LogBatch) -> bool:  # noqa: ARG002 - forgotten
        return True

    def offer_together(self, batches: Sequence[LogBatch]) -> bool:  # noqa: ARG002 - as above
        return True


if __name__ == "__main__":
    vars(router.app)["LogWriter"] = ForgetfulWriter  # a router has no switch for this
    app(prog_name="understudy router")
