"""The tables, triggers and functions of a PostgreSQL database, as found and as expected."""

from collections.abc import Mapping
from functools import cache

from sqlalchemy import BigInteger, Boolean, Connection, Float, Integer, String, Table, Text
from sqlalchemy.types import TypeEngine

from registry.store.ports import Named
from registry.store.schema import WRITTEN_ONCE, metadata
from registry.store.shared_schema import shared_metadata

_FUNCTION = "understudy_written_once"
_SOURCE = """
BEGIN
  RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' are written once',
    ERRCODE = 'integrity_constraint_violation';
END
"""
WRITTEN_ONCE_FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $${_SOURCE}$$"
)

_TABLES = """
SELECT 'table', c.relname, string_agg(
  a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
  || CASE WHEN a.attnotnull THEN '' ELSE ' or null' END, ', ' ORDER BY a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY c.relname
"""
_TRIGGERS = """
SELECT 'trigger', t.tgname, pg_get_triggerdef(t.oid, true)
  || CASE t.tgenabled WHEN 'O' THEN '' ELSE ' (not enabled)' END
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
"""
_FUNCTIONS = """
SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
"""
_RULES = "SELECT 'rule', rulename, definition FROM pg_rules WHERE schemaname = current_schema()"


def triggers_of(table: Table) -> Mapping[str, str]:
    """Return the triggers that let rows only be inserted, by name."""
    name = table.name
    run = f"EXECUTE FUNCTION {_FUNCTION}()"
    events = {
        f"{name}_written_once": f"BEFORE DELETE OR UPDATE ON {name} FOR EACH ROW",
        f"{name}_not_emptied": f"BEFORE TRUNCATE ON {name} FOR EACH STATEMENT",
    }
    return {each: f"CREATE TRIGGER {each} {when} {run}" for each, when in events.items()}


def found_objects(connection: Connection) -> Mapping[Named, str]:
    """Return the objects of the schema in use, each with a text that a change of it changes."""
    queries = (_TABLES, _TRIGGERS, _FUNCTIONS, _RULES)
    rows = [row for query in queries for row in connection.exec_driver_sql(query)]
    return {(kind, name): text for kind, name, text in rows}


@cache
def expected_objects() -> Mapping[Named, str]:
    """Return the objects that a registry creates, in the form of `found_objects`."""
    tables = (*metadata.tables.values(), *shared_metadata.tables.values())
    found: dict[Named, str] = {("table", each.name): _columns_of(each) for each in tables}
    for table in WRITTEN_ONCE:
        found |= {("trigger", name): text for name, text in triggers_of(table).items()}
    return {**found, ("function", _FUNCTION): _SOURCE}


def _columns_of(table: Table) -> str:
    return ", ".join(
        f"{each.name} {_type_name(each.type)}{' or null' if each.nullable else ''}"
        for each in table.columns
    )


def _type_name(kind: TypeEngine[object]) -> str:
    """Return the name that PostgreSQL has for a type of ours."""
    match kind:
        case Text():
            return "text"
        case String():
            return f"character varying({kind.length})"
        case Boolean():
            return "boolean"
        case BigInteger() | Integer():
            return "bigint"
        case Float():
            return "double precision"
        case _:
            raise AssertionError(f"no name for {kind}")
