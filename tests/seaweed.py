"""SeaweedFS as the S3 of tests: a real object store, from a wheel, on loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.logs.builders import wait_until
from understudy.domain.errors import UnavailableError
from understudy.domain.store_urls import StoreUrl
from understudy.runtime.free_port import free_port, free_ports
from understudy.runtime.object_store import ObjectStore

_KEY_ID, _SECRET = "tests", "a secret of tests"
_PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port.grpc"),
)


@dataclass(frozen=True, slots=True)
class Seaweed:
    """A running store, and the environment by which processes reach it."""

    environment: dict[str, str]
    process: "subprocess.Popen[bytes]"


@contextmanager
def seaweed(folder: Path, port: int | None = None, *, bucket: str = "logs") -> Iterator[Seaweed]:
    """Run the store with its data in `folder`; started anew there, it has the same objects.

    Its bucket is made by the first object in it; each further one costs the store a volume.
    """
    port = port or free_port()
    environment = {
        "AWS_ACCESS_KEY_ID": _KEY_ID,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
    }
    folder.mkdir(parents=True, exist_ok=True)
    ports = free_ports(len(_PORTS))
    options = [f"-{name}={each}" for name, each in zip(_PORTS, ports, strict=True)]
    options += [f"-s3.port={port}", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    options += [
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-filer.localSocket={folder / 'filer.sock'}",
    ]
    options += ["-filer", "-s3", "-volume.max=10", "-master.volumeSizeLimitMB=64"]
    weed = Path(sys.executable).with_name("weed")
    with (
        (folder / "output.log").open("ab") as output,
        subprocess.Popen(
            [weed, "server", "-master.telemetry=false", *options],
            env=os.environ | environment,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            wait_until(
                lambda: process.poll() is not None or _answers(environment, bucket),
                what="the object store",
                limit_s=120.0,
            )
            assert process.poll() is None, (folder / "output.log").read_text()[-2000:]
            yield Seaweed(environment, process)
        finally:
            process.kill()  # an orderly end takes it half a minute and more


@contextmanager
def seaweed_for_this_process(folder: Path, bucket: str) -> Iterator[None]:
    """Run the store, and set the variables by which clients of this process find it."""
    with seaweed(folder, bucket=bucket) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield


def _answers(environment: dict[str, str], bucket: str) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            ObjectStore.open(StoreUrl(bucket, "probe")).put("probe", b"1")
        except UnavailableError:
            return False
    return True
