"""Commands on the file of identities: callers, their roles, and the tokens that prove their names.

They work on the file itself, on the registry's machine: the right to write it is the right to decide.
"""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from registry.cli.named_files import new_file
from understudy.control.identities_file import read_identities, write_identities
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.identities import Identity, Role, Token
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer(
    cls=CommandGroup, add_completion=False, help="The callers that a registry believes, in a file."
)
_TOKEN_BYTES = 32
_OURS_ALONE = 0o600  # mode of the files

File = Annotated[
    Path, typer.Option("--file", envvar="REGISTRY_IDENTITIES", help="the file of identities")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="receives the new token; must not exist")
]
Name = Annotated[str, typer.Argument(help="name of the caller")]
Days = Annotated[
    float | None, typer.Option("--days", min=0.001, max=3_650, help="life of the token [no end]")
]


@app.command("add")
def add_identity(
    name: Name,
    *,
    role: Annotated[list[Role], typer.Option("--role", help="may be repeated")],
    file: File,
    token_file: TokenFile = None,
    days: Days = None,
    certificate: Annotated[
        str | None, typer.Option("--certificate", help="a subject alternative name that proves it")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Add a caller, who proves the name by a token or by a certificate."""
    if token_file is None and certificate is None:
        raise InvalidInputError.of("--token-file", read=None, accepted="it, or --certificate")
    known = read_identities(file).all if file.exists() else ()
    with ExitStack() as written:
        tokens = (
            () if token_file is None else (written.enter_context(_new_token(token_file, days)),)
        )
        added = Identity(name, frozenset(role), tokens, certificate)
        write_identities(file, (*known, added))
    _tell(f"{name} is known as {', '.join(sorted(added.roles))}", added, output)


@app.command("renew")
def renew_token(
    name: Name,
    *,
    file: File,
    token_file: Annotated[Path, typer.Option("--token-file", help="receives the new token")],
    days: Days = None,
    keep_h: Annotated[
        float, typer.Option("--keep-old-h", min=0, max=8_760, help="hours until old tokens end")
    ] = 24.0,
    output: Output = Format.TABLE,
) -> None:
    """Give a caller a new token; the old ones end after a while."""
    known = read_identities(file).all
    caller = _caller(known, name)
    ends = datetime.now(UTC) + timedelta(hours=keep_h)
    old = [Token(each.sha256, min(each.expires or ends, ends)) for each in caller.tokens]
    with _new_token(token_file, days) as token:
        renewed = Identity(name, caller.roles, (*old, token), caller.certificate)
        write_identities(file, tuple(renewed if each is caller else each for each in known))
    told = f"{name} has a new token; {len(old)} older ones end at {ends:%Y-%m-%d %H:%M} UTC"
    _tell(told, renewed, output)


@app.command("remove")
def remove_identity(name: Name, *, file: File, output: Output = Format.TABLE) -> None:
    """Remove a caller: its next call is refused."""
    known = read_identities(file).all
    caller = _caller(known, name)
    write_identities(file, tuple(each for each in known if each is not caller))
    _tell(f"{name} is no longer known", caller, output)


@app.command("list")
def list_identities(*, file: File, output: Output = Format.TABLE) -> None:
    """List the callers, without their tokens."""
    known, now = read_identities(file).all, datetime.now(UTC)
    rows = [_row(each, now) for each in known]
    if output is Format.JSON:
        print_json(rows)
        return
    Screen().table(
        ("name", "roles", "valid tokens", "certificate"),
        [
            (
                row["name"],
                ", ".join(sorted(each.roles)),
                str(row["valid_tokens"]),
                each.certificate or "none",
            )
            for each, row in zip(known, rows, strict=True)
        ],
    )


def _row(identity: Identity, now: datetime) -> dict[str, Any]:
    return {
        "name": identity.name,
        "roles": sorted(identity.roles),
        "valid_tokens": sum(token.is_valid(now) for token in identity.tokens),
        "certificate": identity.certificate,
    }


def _tell(done: str, identity: Identity, output: Format) -> None:
    if output is Format.JSON:
        print_json({"done": done, **_row(identity, datetime.now(UTC))})
    else:
        Screen().say(done)


def _caller(known: tuple[Identity, ...], name: str) -> Identity:
    for each in known:
        if each.name == name:
            return each
    raise NotFoundError("caller", name)


@contextmanager
def _new_token(path: Path, days: float | None) -> Iterator[Token]:
    """Write a new token to a new file, its only place; a failure in the block removes the file.

    Raises:
        InvalidInputError: the file exists, or cannot be written.
    """
    text = secrets.token_urlsafe(_TOKEN_BYTES)
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with new_file(path, _OURS_ALONE, field="--token-file") as file:
        file.write(f"{text}\n".encode())
        yield Token(sha256(text.encode()).hexdigest(), expires)
