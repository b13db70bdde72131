"""Tables of the registry. The database enforces that versions, revisions and audit are written once."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
)

from registry.decisions.schema_range import SchemaRange

SCHEMA_VERSION = 7  # `migrations` leads here, from the earliest on
SCHEMAS = SchemaRange(earliest=6, latest=SCHEMA_VERSION)

# In SQLite an integer has 64 bits by any name.
_NUMBER = Integer().with_variant(BigInteger(), "postgresql")


def _name(longest: int) -> String:
    """Return a text that every database orders as Python does: by code points."""
    return String(longest).with_variant(String(longest, collation="C"), "postgresql")


metadata = MetaData()
Row = Mapping[str, Any] | RowMapping  # of a table, by column

settings = Table(
    "registry",
    metadata,
    Column("name", _name(32), primary_key=True),  # schema_version
    Column("value", BigInteger, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("model", _name(63), primary_key=True),
    Column("number", _NUMBER, primary_key=True),
    Column("artifact_digest", _name(64), nullable=False),
    Column("files_json", Text, nullable=False),
    Column("provenance_digest", _name(64), nullable=False),
    Column("provenance_json", Text, nullable=False),  # canonical
    Column("inputs_json", Text, nullable=False),
    Column("outputs_json", Text, nullable=False),
    Column("feature_set_json", Text, nullable=False),
    Column("view_names_json", Text, nullable=False),
    Column("score_output", Text, nullable=False),
    Column("score_column", _NUMBER, nullable=False),
    Column("golden_tolerance", Float, nullable=False),
    Column("column_inputs_json", Text, nullable=False),
    Column("joins_rows", Boolean, nullable=False),
    Column("registered_by", Text, nullable=False),
    Column("registered_at_ns", BigInteger, nullable=False),
)

feature_views = Table(
    "feature_views",
    metadata,
    Column("name", _name(63), primary_key=True),
    Column("version", _NUMBER, primary_key=True),
    Column("digest", _name(64), nullable=False),
    Column("canonical_json", Text, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("model", _name(63), primary_key=True),
    Column("revision", _NUMBER, primary_key=True),
    Column("champion", _NUMBER, nullable=False),  # as in the content; for queries of former ones
    Column("digest", _name(64), nullable=False),
    Column("content_json", Text, nullable=False),  # canonical
    Column("contract_json", Text, nullable=False),  # canonical; outside the digest
    Column("actor", Text, nullable=False),
    Column("action", _name(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
)

# The versions that revisions of a model have named, kept with them so that a change need not read
# all revisions; the verification of the audit log compares it with these.
named_versions = Table(
    "named_versions",
    metadata,
    Column("model", _name(63), primary_key=True),
    Column("number", _NUMBER, primary_key=True),
    Column("champion_in", _NUMBER, nullable=False),  # latest revision with it as champion; 0: none
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("proof", _name(16), nullable=False),
    Column("peer", Text, nullable=False),
    Column("on_behalf_of", Text, nullable=False),
    Column("action", _name(32), nullable=False),
    Column("model", _name(63), nullable=False),
    Column("reason", Text, nullable=False),
    Column("from_revision", BigInteger, nullable=False),
    Column("to_revision", BigInteger, nullable=False),
    Column("details_json", Text, nullable=False),
    Column("previous_digest", _name(64), nullable=False),
    Column("format", _name(32), nullable=False),  # of the document whose digest is the row's
    Column("digest", _name(64), nullable=False),
    Index("audit_of_model", "model", "sequence"),
)

# Ids of the registry; the latest is in effect. The first is made with the database, and is the same
# in every copy of it; each restore makes another one.
lineages = Table(
    "lineage",
    metadata,
    Column("place", _NUMBER, primary_key=True, autoincrement=False),  # 1, 2, 3 …
    Column("id", _name(36), nullable=False),
    Column("successor_of", Text, nullable=False),  # lineage of another database; empty for none
    Column(
        "revision", _NUMBER, nullable=False
    ),  # number of the restored revisions; 0 for the first
    Column("ended_json", Text, nullable=False),  # other models, which end with that number
)

# Each opening of the database by a process.
epochs = Table(
    "epochs",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),  # 1, 2, 3 …
    Column("id", _name(36), nullable=False),
    Column("first_change", BigInteger, nullable=False),  # last row of the audit log before it
    Column("file", Text, nullable=False),  # identity of the file and of the running system
)

# The last report of each scorer host, so that a restarted registry names scorers at once.
host_reports = Table(
    "host_reports",
    metadata,
    Column("host_id", _name(255), primary_key=True),
    Column("report_json", Text, nullable=False),  # ScorersReport
)

# The version that acts as champion, by the latest reports of routers.
acting = Table(
    "acting",
    metadata,
    Column("model", _name(63), primary_key=True),
    Column("version", _NUMBER, nullable=False),
    Column("revision", BigInteger, nullable=False),  # of the deployment, when it was reported
    Column("because", _name(32), nullable=True),  # WithheldReason; null: the declared one acts
    Column("since_ns", BigInteger, nullable=False),
)

# Artifacts that loaded here, and the version of ONNX Runtime that loaded them: found by the registry
# itself, and found again after a loss.
loads = Table(
    "loads",
    metadata,
    Column("artifact_digest", _name(64), primary_key=True),
    Column("onnxruntime", _name(64), primary_key=True),
)

# Marks of versions beside revisions: of those that must not act, whatever revisions declare; of
# those that may take no part any more; and of those whose artifact was collected.
marks = Table(
    "marks",
    metadata,
    Column("kind", _name(32), primary_key=True),
    Column("model", _name(63), primary_key=True),
    Column("number", _NUMBER, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
)

# Names of versions for people. They do not act: revisions and snapshots have numbers.
tags = Table(
    "tags",
    metadata,
    Column("model", _name(63), primary_key=True),
    Column("name", _name(63), primary_key=True),
    Column("number", _NUMBER, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
)

# Votes on the content of versions; standing approvals are computed from them.
votes = Table(
    "votes",
    metadata,
    Column("model", _name(63), primary_key=True),
    Column("number", _NUMBER, primary_key=True),
    Column("place", _NUMBER, primary_key=True),  # 1, 2, 3 … on the version
    Column("kind", _name(16), nullable=False),  # VoteKind
    Column("content_digest", _name(64), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),  # 0: never
)

# The number of approvals that versions of a model need; the latest policy is in effect.
approval_policies = Table(
    "approval_policies",
    metadata,
    Column("model", _name(63), primary_key=True),
    Column("place", _NUMBER, primary_key=True),  # 1, 2, 3 …
    Column("approvers", _NUMBER, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
)

# Refused attempts, in a chain of their own.
refusals = Table(
    "refusals",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("minute_ns", BigInteger, nullable=False),  # begin of the minute
    Column("actor", Text, nullable=False),  # empty: no name
    Column("peer", Text, nullable=False),
    Column("call", _name(64), nullable=False),
    Column("reason", _name(32), nullable=False),  # FailureKind
    Column("attempts", BigInteger, nullable=False),
    Column("previous_digest", _name(64), nullable=False),
    Column("digest", _name(64), nullable=False),
)

# The rows of each hash chain that the receiver of webhooks has taken.
deliveries = Table(
    "deliveries",
    metadata,
    Column("chain", String(32), primary_key=True),  # the table of its rows
    Column("sequence", BigInteger, nullable=False),  # of the last one that was taken
)

# Not covered by the audit log: reports of other processes, openings of the database, loads that
# the registry tries again after a loss, and deliveries, which are repeated after one. A table that is
# not named here is verified.
VOLATILE_TABLES = frozenset({"acting", "deliveries", "epochs", "host_reports", "loads"})

# Tables whose rows are only inserted; triggers of each database refuse everything else.
WRITTEN_ONCE = (
    versions,
    feature_views,
    revisions,
    audit,
    lineages,
    epochs,
    votes,
    approval_policies,
    refusals,
)
