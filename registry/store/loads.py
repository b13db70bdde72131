"""Artifacts that the registry saw load. Every function runs in a transaction."""

from sqlalchemy import Connection, select

from registry.store.dialects import put_if_absent
from registry.store.schema import loads


def add(connection: Connection, artifact_digest: str, onnxruntime: str) -> None:
    """Record that this version of ONNX Runtime loaded the artifact and replayed its golden vectors."""
    keys = {"artifact_digest": artifact_digest, "onnxruntime": onnxruntime}
    put_if_absent(connection, loads, keys, {})


def is_recorded(connection: Connection, artifact_digest: str, onnxruntime: str) -> bool:
    query = select(loads).where(
        loads.c.artifact_digest == artifact_digest, loads.c.onnxruntime == onnxruntime
    )
    return connection.execute(query).first() is not None
