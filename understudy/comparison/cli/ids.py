"""`understudy shadow digest`: ids as the logs contain them."""

from collections.abc import Sequence

from understudy.domain.logged_ids import LoggedIds
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen


def print_ids(given: Sequence[str], ids: LoggedIds, output: Format) -> None:
    """Print each id with its form in `unit_key` and `candidate_id`."""
    pairs = list(zip(given, ids.written(given), strict=True))
    if output is Format.JSON:
        digests = [{"id": each, "logged_as": digest} for each, digest in pairs]
        print_json({"log_ids": ids.form, "log_key_id": ids.key_id or None, "ids": digests})
        return
    Screen().table(("id", "logged as"), pairs)
