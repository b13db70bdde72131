"""A compiled client: code that protoc generates for grpc-java from our archive scores and streams.

Debian's packages suffice: default-jdk-headless, protobuf-compiler,
protobuf-compiler-grpc-java-plugin, libgrpc-java, libprotobuf-java, libnetty-java,
libperfmark-java, libgoogle-common-protos-java, libguava-java,
libgeronimo-annotation-1.3-spec-java.
"""

import shutil
import tarfile
from pathlib import Path

import pytest
from google import rpc

from tests.protos.compiled import well_known_protos
from tests.protos.programs import output_of, require
from tests.router.served import open_served
from tools.protos_archive import write_archive

SESSION = Path(__file__).parent / "java" / "Session.java"
_PLUGIN = "grpc_java_plugin"
_JARS = Path("/usr/share/java")
_NAMES = (
    *(f"grpc-{part}" for part in ("api", "context", "core", "netty", "protobuf")),
    *("grpc-protobuf-lite", "grpc-stub", "protobuf", "proto-google-common-protos"),
    *("geronimo-annotation-1.3-spec", "guava", "failureaccess", "perfmark-api", "jsr305"),
    *(f"netty-{part}" for part in ("buffer", "codec", "codec-http", "codec-http2", "common")),
    *(f"netty-{part}" for part in ("handler", "resolver", "transport")),
)
_OPTIONAL = frozenset({"failureaccess", "jsr305"})  # inside of guava.jar, or of annotations only


def class_path() -> list[Path]:
    """Return Debian's jars; the test is skipped if one is not installed."""
    jars = {name: _JARS / f"{name}.jar" for name in _NAMES}
    missing = [name for name, jar in jars.items() if not jar.exists() and name not in _OPTIONAL]
    if missing:
        pytest.skip(f"not installed, for a client in Java: {', '.join(missing)}.jar")
    return [jar for jar in jars.values() if jar.exists()]


def unpacked_protos(folder: Path) -> Path:
    """Return the folder of our archive's protos."""
    with tarfile.open(write_archive(folder)) as archive:
        archive.extractall(folder, filter="data")
    (protos,) = folder.glob("understudy-protos-*/")
    return protos


@pytest.mark.long
async def test_a_java_client_scores_streams_and_reads_the_details_of_errors(
    tmp_path: Path,
) -> None:
    require("java", "javac", "protoc", _PLUGIN)
    found = ":".join(map(str, class_path()))
    protos = unpacked_protos(tmp_path)
    generated, classes = tmp_path / "generated", tmp_path / "classes"
    generated.mkdir()
    google = Path(next(iter(rpc.__path__))).parents[1]  # newer than Debian's: it has ErrorInfo
    await output_of(
        *("protoc", f"--proto_path={protos}", f"--proto_path={well_known_protos()}"),
        f"--java_out={generated}",
        *(f"--plugin=protoc-gen-grpc={shutil.which(_PLUGIN)}", f"--grpc_out={generated}"),
        f"--proto_path={google}",
        *("google/rpc/error_details.proto", "understudy/scoring/v1/scoring.proto"),
        cwd=tmp_path,
    )
    javac = ("javac", "-nowarn", "-proc:none", "-cp", found, "-d")
    await output_of(*javac, classes, SESSION, *generated.rglob("*.java"), cwd=tmp_path)

    async with open_served() as served:
        java = ("java", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{found}", "Session")
        told = await output_of(*java, str(served.port), cwd=tmp_path)

    seen = dict(line.split(" ", 1) for line in told.splitlines())
    assert seen.pop("score") == "25.00"
    assert seen.pop("version") in {"1", "2"}
    assert seen == {
        "decision": "DECISION_BELOW",
        "code": "INVALID_ARGUMENT",
        "reason": "INVALID_INPUT",
        "field": "entities[user]",
        "streamed": "{bad=INVALID_INPUT, s1=scored, s3=scored}",
    }
