"""What a record says, said in in-toto's words."""

from domain.versions import VersionRef
from registry.provenance.statement import in_toto_statement
from tests.registry.samples import record_with


def dependencies_of(path: str, value: object) -> list[dict[str, object]]:
    statement = in_toto_statement(
        VersionRef("fraud", 1), (), record_with(path, value), provenance_digest="ab" * 32
    )
    found: list[dict[str, object]] = statement["predicate"]["buildDefinition"][
        "resolvedDependencies"
    ]
    return found


def test_a_commit_is_a_git_dependency() -> None:
    source = {"kind": "git", "repository": "https://e.org/r", "commit": "ab" * 20, "dirty": False}

    code = dependencies_of("code.source", source)[0]

    assert code["uri"] == f"git+https://e.org/r@{'ab' * 20}"
    assert code["digest"] == {"gitCommit": "ab" * 20}


def test_a_snapshot_is_no_digest() -> None:
    training = dependencies_of("data.training.content", "snapshot:4711")[1]

    assert training["annotations"] == {"snapshot": "4711"}
    assert "digest" not in training
