"""SeaweedFS as the S3 of a registry's tests: a real object store, from a wheel, on loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import BaseError

from registry.store.s3_objects import S3Place, open_bucket
from understudy.runtime.free_port import free_port, free_ports

BUCKET = "artifacts"  # each further one costs the store a volume
_PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port.grpc"),
)


@contextmanager
def running_s3(folder: Path) -> Iterator[None]:
    """Run the store with its data in `folder`, and set the variables by which clients find it."""
    port = free_port()
    variables = {
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "a secret of tests",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
    }
    values = zip(_PORTS, free_ports(len(_PORTS)), strict=True)
    options = [f"-{name}={each}" for name, each in values]
    options += [f"-s3.port={port}", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    options += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-filer", "-s3", "-volume.max=10"]
    options += ["-master.volumeSizeLimitMB=64", f"-filer.localSocket={folder / 'filer.sock'}"]
    words = [
        str(Path(sys.executable).with_name("weed")),
        "server",
        "-master.telemetry=false",
        *options,
    ]
    with pytest.MonkeyPatch.context() as patch, (folder / "output.log").open("ab") as output:
        for name, value in variables.items():
            patch.setenv(name, value)
        with subprocess.Popen(words, env=os.environ, stdout=output, stderr=output) as process:
            try:
                while not _answers():
                    assert process.poll() is None, (folder / "output.log").read_text()[-2000:]
                yield
            finally:
                process.kill()


def _answers() -> bool:
    try:
        obstore.put(open_bucket(S3Place(BUCKET, "probe")), "probe", b"1")
    except BaseError:
        return False
    return True
