"""The commands on the file of identities: the tokens prove names, and no output shows one."""

import stat
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from tests.registry.commands import command, json_of
from understudy.control.identities_file import read_identities
from understudy.domain.identities import Role
from understudy.runtime.exit_codes import OK, USAGE


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "identities.json"


def identities(file: Path, *words: str) -> str:
    """Run a command on the file; return its output."""
    result = command("identities", *words, "--file", str(file))
    assert result.exit_code == OK, result.stderr
    return result.stdout


def digest_of(token_file: Path) -> str:
    return sha256(token_file.read_text().strip().encode()).hexdigest()


def test_the_token_of_a_new_caller_proves_its_name(file: Path, tmp_path: Path) -> None:
    token_file = tmp_path / "ann.token"

    output = identities(
        file, "add", "ann", "--role", "author", "--role", "viewer", "--token-file", str(token_file)
    )

    known = read_identities(file).by_token(digest_of(token_file), datetime.now(UTC))
    assert known is not None
    assert (known.name, known.roles) == ("ann", frozenset({Role.AUTHOR, Role.VIEWER}))
    assert {stat.S_IMODE(each.stat().st_mode) for each in (file, token_file)} == {0o600}
    token = token_file.read_text().strip()
    assert len(token) > 40
    assert token not in output + file.read_text() + str(
        json_of("identities", "list", "--file", str(file))
    )


def test_a_renewed_token_is_valid_beside_the_old_one_for_a_while(
    file: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    identities(file, "add", "ann", "--role", "author", "--token-file", str(old))

    identities(file, "renew", "ann", "--token-file", str(new), "--keep-old-h", "2", "--days", "30")

    known, now = read_identities(file), datetime.now(UTC)
    valid = {
        hours: [
            known.by_token(digest_of(each), now + timedelta(hours=hours)) is not None
            for each in (old, new)
        ]
        for hours in (1, 3, 31 * 24)
    }
    assert valid == {1: [True, True], 3: [False, True], 31 * 24: [False, False]}


def test_a_removed_caller_is_unknown(file: Path, tmp_path: Path) -> None:
    identities(file, "add", "ann", "--role", "author", "--certificate", "ann.bank")
    identities(file, "add", "bob", "--role", "viewer", "--token-file", str(tmp_path / "bob"))

    identities(file, "remove", "ann")

    assert json_of("identities", "list", "--file", str(file)) == [
        {"name": "bob", "roles": ["viewer"], "valid_tokens": 1, "certificate": None}
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("add", "ann", "--role", "viewer", "--token-file", "new"),  # known already
        ("add", "b b", "--role", "viewer", "--token-file", "new"),
        ("add", "bob", "--role", "root", "--token-file", "new"),
        ("add", "bob", "--role", "viewer", "--token-file", "old"),  # a file that exists
        ("add", "bob", "--role", "viewer"),  # no proof
        ("add", "bob", "--role", "viewer", "--certificate", ""),
        ("renew", "bob", "--token-file", "new"),  # unknown
        ("remove", "bob"),
    ],
)
def test_a_refused_change_leaves_everything_as_it_was(
    file: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    old = tmp_path / "old"
    identities(file, "add", "ann", "--role", "author", "--token-file", str(old))
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    placed = [str(tmp_path / each) if each in {"old", "new"} else each for each in words]

    result = command("identities", *placed, "--file", str(file))

    assert result.exit_code == USAGE, result.stdout
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_file_that_others_may_read_is_refused(file: Path, tmp_path: Path) -> None:
    identities(file, "add", "ann", "--role", "author", "--token-file", str(tmp_path / "t"))
    file.chmod(0o644)

    result = command("identities", "list", "--file", str(file))

    assert result.exit_code == USAGE
    assert "mode 0644" in result.stderr
