"""A server of PostgreSQL for tests, started as a user without rights, on a socket of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from registry.store.postgresql import PostgresqlPlace

_USER = "nobody"  # of the server, if tests run as root
_START_LIMIT_S = 120.0
_PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql")
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # a test does not cut the power
    "max_connections": "200",
    "shared_buffers": "16MB",
    "log_min_messages": "warning",
}


@dataclass(frozen=True, slots=True)
class Server:
    folder: Path

    def url(self, database: str) -> str:
        return f"postgresql:///{database}?host={self.folder}&user=registry"

    def new_database(self, template: str = "template0") -> PostgresqlPlace:
        """Create a database: an empty one, or a copy of another that is not in use."""
        name = f"registry_{uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return PostgresqlPlace(self.url(name))

    def copy_of(self, place: PostgresqlPlace) -> PostgresqlPlace:
        """Create a copy of a database that is not in use."""
        return self.new_database(_name_of(place))

    def end_connections_to(self, place: PostgresqlPlace) -> None:
        """End all connections, as a restart does."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            ended = (
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s"
            )
            assert connection.execute(ended, [_name_of(place)]).fetchall()


@dataclass(frozen=True, slots=True)
class Original:
    """A stopped registry, to be copied."""

    place: PostgresqlPlace
    directory: Path


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server, and end it after the block; skip the test where there is none."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    folder = Path(tempfile.mkdtemp(prefix="understudy-pg-"))
    user = _user()
    if user is not None:
        os.chown(folder, user, user)
    try:
        cluster = folder / "cluster"
        words = [
            "-U",
            "registry",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
        subprocess.run(
            [initdb, "-D", str(cluster), *words],
            check=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            timeout=_START_LIMIT_S,
        )
        options = [word for item in _SETTINGS.items() for word in ("-c", "=".join(item))]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [postgres, "-D", str(cluster), "-k", str(folder), *options],
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            _await_ready(process, folder)
            yield Server(folder)
        finally:
            process.send_signal(signal.SIGINT)  # ends open connections
            process.wait(_START_LIMIT_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _name_of(place: PostgresqlPlace) -> str:
    return urlsplit(place.conninfo).path.removeprefix("/")


def _await_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    ready = [_binary("pg_isready"), "-q", "-h", str(folder), "-U", "registry", "-d", "postgres"]
    while subprocess.run(ready, check=False).returncode != 0:
        assert process.poll() is None, (folder / "log").read_text()


def _user() -> int | None:
    """Return the user id for the server, which refuses to run as root; None for our own."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_USER).pw_uid
    except KeyError:
        pytest.skip(f"PostgreSQL refuses to run as root, and {_USER} is not a user here")


def _binary(name: str) -> str:
    if found := shutil.which(name):
        return found
    for place in _PLACES:
        for path in sorted(Path(place).glob(f"**/bin/{name}"), reverse=True):
            return str(path)
    pytest.skip(f"{name} of PostgreSQL is not installed")
