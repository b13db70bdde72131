"""`understudy shadow digest`: ids as the logs contain them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from understudy.domain.logged_ids import LoggedIds
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from understudy.runtime.files_by_ids import FilesByIds


def print_ids(
    given: Sequence[str], ids: LoggedIds, compared: "FilesByIds | None", output: Format
) -> None:
    """Print each id with its form in `unit_key` and `candidate_id`.

    Args:
        given: the ids.
        ids: the rule by which the logs contain ids.
        compared: the files whose form and key were compared with `ids`; None if none were.
        output: for people or programs.
    """
    pairs = list(zip(given, ids.written(given), strict=True))
    if output is Format.JSON:
        digests = [{"id": each, "logged_as": digest} for each, digest in pairs]
        files = None if compared is None else _files(compared)
        shown = {"log_ids": ids.form, "log_key_id": ids.key_id or None}
        print_json({**shown, "ids": digests, "files": files})
        return
    screen = Screen()
    screen.table(("id", "logged as"), pairs)
    if compared is None:
        screen.say("not compared with the files of a log; --log-dir does that")
        return
    stated = len(compared.searchable) - compared.unstated
    screen.say(f"{stated} files state {ids.stated}, {compared.unstated} state no form and key")
    for other in compared.others:
        screen.say(f"not to be found as shown in: {other}")


def _files(compared: "FilesByIds") -> dict[str, object]:
    return {
        "matching": len(compared.searchable) - compared.unstated,
        "unstated": compared.unstated,
        "others": compared.others,
    }
