"""The DDL of the tables behind rooms, as migrations run it."""

from typing import Final

from muster_kit.db.row_security import Operations, row_level_security

# What a released migration does must not change: later changes are functions of their own, and
# `muster_kit.db.tables` is what the tables look like after all of them.

# Pages are left half empty where every row is updated: the new version then finds a place beside
# the old one, and no index has to learn of it (HOT).
_REQUEST: Final = """
    CREATE TABLE {schema}.request (
        organization_id text NOT NULL,
        caller_id text NOT NULL,
        request_id text NOT NULL,
        method text NOT NULL,
        fingerprint bytea NOT NULL,
        response bytea,
        create_time timestamptz NOT NULL,
        PRIMARY KEY (organization_id, caller_id, request_id)
    ) WITH (fillfactor = 50)
"""

_ROOM_TABLES: Final = {
    "room_log": """
        CREATE TABLE {schema}.room_log (
            room_id text PRIMARY KEY,
            organization_id text NOT NULL,
            epoch bigint NOT NULL,
            head_seq bigint NOT NULL,
            first_seq bigint NOT NULL DEFAULT 1
        ) WITH (fillfactor = 50)
    """,
    "room_event": """
        CREATE TABLE {schema}.room_event (
            room_id text NOT NULL,
            seq bigint NOT NULL,
            organization_id text NOT NULL,
            payload bytea NOT NULL,
            create_time timestamptz NOT NULL,
            PRIMARY KEY (room_id, seq)
        )
    """,
    "request": _REQUEST,
    "deadline": """
        CREATE TABLE {schema}.deadline (
            room_id text NOT NULL,
            key text NOT NULL,
            organization_id text NOT NULL,
            fire_time timestamptz NOT NULL,
            payload bytea NOT NULL,
            fence bigint NOT NULL DEFAULT 0,
            claim_expire_time timestamptz,
            PRIMARY KEY (room_id, key)
        )
    """,
}

# Requests come in order of time: a block range index serves their sweep at no cost a row.
_INDEXES: Final = {
    "request": "CREATE INDEX request_create_time ON {schema}.request USING brin (create_time)",
    "deadline": "CREATE INDEX deadline_fire_time ON {schema}.deadline (fire_time)",
}


def create_room_tables(op: Operations, schema: str) -> None:
    """Create the tables of rooms; the first migration of a service with rooms calls it."""
    for table, sql in _ROOM_TABLES.items():
        _create(op, schema, table, sql)


def create_request_table(op: Operations, schema: str) -> None:
    """Create the table of answered requests alone, for a service without rooms."""
    _create(op, schema, "request", _REQUEST)


def _create(op: Operations, schema: str, table: str, sql: str) -> None:
    op.execute(sql.format(schema=schema))
    if table in _INDEXES:
        op.execute(_INDEXES[table].format(schema=schema))
    row_level_security(op, schema, table, writer=True)
