"""Tables of a database that several registries serve from. All of them are volatile."""

from sqlalchemy import BigInteger, Column, Index, MetaData, Sequence, String, Table, Text

CHANNEL = "understudy_registry"  # of notifications

shared_metadata = MetaData()

# The number of committed changes, in one row: the sequence of the state that watchers receive.
shared_state = Table(
    "shared_state",
    shared_metadata,
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("changes", BigInteger, nullable=False),
)

# The order in which reports were written; the write lock makes it that of the commits too.
report_order = Sequence("heard_reports_order", metadata=shared_metadata)

# The last report of each scorer host and router, by the instance that heard it last.
heard_reports = Table(
    "heard_reports",
    shared_metadata,
    Column("kind", String(16), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("report_json", Text, nullable=False),
    Column("heard_ns", BigInteger, nullable=False),  # UTC, since 1970, by the database's clock
    Column("written", BigInteger, nullable=False),  # from `report_order`
    Index("heard_reports_by_order", "written"),
)
