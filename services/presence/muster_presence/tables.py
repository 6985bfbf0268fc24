"""What the tables of presence in PostgreSQL share: the schema, and what is behind rooms and requests."""

from typing import Final

from muster_kit.db import room_tables
from sqlalchemy import MetaData

SCHEMA: Final = "presence"

METADATA: Final = MetaData()

ROOMS: Final = room_tables(METADATA, SCHEMA)
"""Logs, events, answered requests and deadlines, of whatever kind of room."""
