"""PostgreSQL: transactions of one organization, rooms that are written in order, and deadlines.

`muster_kit.db.migrate` is apart: services do not need it to run.
"""

from muster_kit.db.commands import Commands
from muster_kit.db.deadline_rows import Deadline
from muster_kit.db.deadlines import Deadlines
from muster_kit.db.engine import Database, Transaction
from muster_kit.db.group_commit import GroupCommit
from muster_kit.db.publications import Publisher
from muster_kit.db.requests import Requests
from muster_kit.db.room_transaction import RoomTransaction
from muster_kit.db.sweep import sweep_requests
from muster_kit.db.tables import RoomTables, request_table, room_tables

__all__ = [
    "Commands",
    "Database",
    "Deadline",
    "Deadlines",
    "GroupCommit",
    "Publisher",
    "Requests",
    "RoomTables",
    "RoomTransaction",
    "Transaction",
    "request_table",
    "room_tables",
    "sweep_requests",
]
