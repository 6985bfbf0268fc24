"""The tables that all of presence shares: rooms, their logs and deadlines, and answered requests."""

from typing import Final

from muster_kit.db import room_tables
from sqlalchemy import MetaData

from muster_presence.scope_keys import SCHEMA

METADATA: Final = MetaData()

ROOMS: Final = room_tables(METADATA, SCHEMA)
"""Inboxes and the attendance of sessions are rooms; `ROOMS.request` is for every idempotent request."""
