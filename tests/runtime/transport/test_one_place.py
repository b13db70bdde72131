"""Ports and channels are opened in one place, so that one rule decides about plaintext."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
OPENERS = {
    *("insecure_channel", "secure_channel", "add_insecure_port", "add_secure_port"),
    *("create_server", "create_unix_server", "create_unix_connection"),
}
PLACES = {
    "understudy/runtime/transport/transport.py",
    "understudy/runtime/transport/local_connections.py",
    "understudy/client/scoring_client.py",  # the distribution of callers has a transport of its own
    "understudy/client/async_scoring_client.py",
}


def openers_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    } & OPENERS


def test_no_other_module_opens_a_port_or_a_channel() -> None:
    files = [
        file
        for folder in ("understudy", "router", "scorer", "registry", "stack")
        for file in (ROOT / folder).rglob("*.py")
        if not file.stem.endswith("_grpc")
    ]
    found = {str(file.relative_to(ROOT)) for file in files if openers_in(file)}

    assert found <= PLACES
    assert {each for each in PLACES if "/transport/" in each} <= found, "it finds nothing"
