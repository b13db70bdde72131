"""The form and key of the ids in the logs, as given to a command that looks ids up."""

from pathlib import Path
from typing import Annotated

import typer

from understudy.domain.errors import InvalidInputError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.runtime.secret_files import read_secret

LOG_KEY_FILE = "--log-key-file"
LOG_IDS = "--log-ids"
LogIdsOption = Annotated[
    IdForm, typer.Option(LOG_IDS, help="form of the ids in the log, as ROUTER_LOG_IDS")
]
LogKeyFile = Annotated[
    Path | None,
    typer.Option(
        LOG_KEY_FILE,
        envvar="UNDERSTUDY_LOG_KEY_FILE",
        help="file with the routers' log key, for keyed ids",
    ),
]


def read_logged_ids(form: IdForm, key_file: Path | None) -> LoggedIds:
    """Return the rule by which the routers wrote ids.

    Raises:
        InvalidInputError: the form needs a key file, or none; the file cannot be read, others can
            read it, or its key has another length.
    """
    if form is not IdForm.KEYED:
        # A key in the environment is for the keyed logs beside this one.
        return LoggedIds(form)
    if key_file is None:
        raise InvalidInputError.of(
            LOG_KEY_FILE,
            read="nothing",
            accepted="the file of ROUTER_LOG_KEY_FILE, or --log-ids unkeyed or plain",
        )
    key = read_secret(key_file, variable=LOG_KEY_FILE)
    try:
        return LoggedIds(form, key.encode())
    except ValueError as error:
        raise InvalidInputError.of(LOG_KEY_FILE, read=str(key_file), accepted=str(error)) from error
