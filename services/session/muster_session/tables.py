"""The tables of the session service, as its stores read and write them; `migrations/` makes them."""

from typing import Final

from muster_kit.db import room_tables
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY

SCHEMA: Final = "session"

METADATA: Final = MetaData()

ROOMS: Final = room_tables(METADATA, SCHEMA)

_TIME: Final = DateTime(timezone=True)


def _table(name: str, *columns: Column[object]) -> Table:
    return Table(name, METADATA, *columns, schema=SCHEMA)


SESSION: Final = _table(
    "session",
    Column("session_id", Text, primary_key=True),
    Column("organization_id", Text),
    Column("host_user_id", Text),
    Column("status", Text),
    Column("title", Text),
    Column("description", Text),
    Column("visibility", Text),
    Column("max_participants", Integer),
    Column("late_join_allowed", Boolean),
    Column("parallel_blocks_allowed", Boolean),
    Column("default_time_limit", Interval),
    Column("rules", LargeBinary),
    Column("answers_hidden", Boolean),
    Column("chat_enabled", Boolean),
    Column("reactions_enabled", Boolean),
    Column("course_id", Text),
    Column("class_ids", ARRAY(Text)),
    Column("test_id", Text),
    Column("join_code", Text),
    Column("key_hash", Text),
    Column("participant_count", Integer),
    Column("seat_count", Integer),
    Column("block_count", Integer),
    Column("active_block_id", Text),
    Column("scheduled_time", _TIME),
    Column("start_time", _TIME),
    Column("end_time", _TIME),
    Column("create_time", _TIME),
    Column("revision", BigInteger),
)

JOIN_CODE: Final = _table(
    "join_code",
    Column("join_code", Text, primary_key=True),
    Column("session_id", Text),
    Column("organization_id", Text),
)

STATUS_CHANGE: Final = _table(
    "status_change",
    Column("session_id", Text, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("organization_id", Text),
    Column("old_status", Text),
    Column("new_status", Text),
    Column("reason", Text),
    Column("changed_by_user_id", Text),
    Column("change_time", _TIME),
)

PARTICIPANT: Final = _table(
    "participant",
    Column("participant_id", Text, primary_key=True),
    Column("session_id", Text),
    Column("organization_id", Text),
    Column("user_id", Text),
    Column("display_name", Text),
    Column("role", Text),
    Column("status", Text),
    Column("generation", Integer),
    Column("join_time", _TIME),
    Column("leave_time", _TIME),
    Column("change_reason", Text),
    Column("changed_by_user_id", Text),
)

BLOCK: Final = _table(
    "block",
    Column("block_id", Text, primary_key=True),
    Column("session_id", Text),
    Column("organization_id", Text),
    Column("position", Integer),
    Column("status", Text),
    Column("content", LargeBinary),
    Column("answer_key", LargeBinary),
    Column("time_limit", Interval),
    Column("rules", LargeBinary),
    Column("round_id", Text),
    Column("open_time", _TIME),
    Column("close_time", _TIME),
    Column("time_left", Interval),
    Column("revision", BigInteger),
)

TRANSITION: Final = _table(
    "transition",
    Column("transition_id", Text, primary_key=True),
    Column("session_id", Text),
    Column("organization_id", Text),
    Column("kind", Text),
    Column("begin_time", _TIME),
    Column("block_id", Text),
    Column("round_id", Text),
    Column("time_limit", Interval),
    Column("by_deadline", Boolean),
    Column("reason", Text),
    Column("changed_by_user_id", Text),
    Column("outcome", LargeBinary),
    Column("failure", Text),
)

WRONG_GUESS: Final = _table(
    "wrong_guess",
    Column("organization_id", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("window_start", _TIME),
    Column("failures", Integer),
)

CLASS: Final = _table(
    "class",
    Column("organization_id", Text, primary_key=True),
    Column("class_id", Text, primary_key=True),
    Column("teacher_user_id", Text),
    Column("title", Text),
    Column("sort_title", Text),
    Column("description", Text),
    Column("course_id", Text),
    Column("status", Text),
    Column("student_count", Integer),
    Column("create_time", _TIME),
    Column("archive_time", _TIME),
    Column("revision", BigInteger),
)

CLASS_MEMBER: Final = _table(
    "class_member",
    Column("organization_id", Text, primary_key=True),
    Column("class_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("display_name", Text),
    Column("sort_name", Text),
    Column("role", Text),
    Column("create_time", _TIME),
)
