"""The tables of attendance, as its stores read and write them; `migrations/` makes them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    Interval,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from muster_presence.tables import METADATA, SCHEMA

_TIME: Final = DateTime(timezone=True)


def _of_session(name: str, *columns: Column[object]) -> Table:
    ids = (Column("organization_id", Text), Column("session_id", Text))
    return Table(name, METADATA, *ids, *columns, schema=SCHEMA)


ATTENDED: Final = Table(
    "attended",
    METADATA,
    Column("organization_id", Text),
    Column("kind", SmallInteger),
    Column("scope_id", Text),
    Column("phase", SmallInteger),
    Column("title", Text),
    Column("host_user_id", Text),
    Column("class_ids", ARRAY(Text)),
    Column("teacher_user_ids", ARRAY(Text)),
    Column("span_starts", ARRAY(_TIME)),
    Column("span_ends", ARRAY(_TIME)),
    Column("start_time", _TIME),
    Column("settle_time", _TIME),
    Column("revision", BigInteger),
    schema=SCHEMA,
)

RULE: Final = _of_session(
    "attendance_rule",
    Column("revision", BigInteger),
    Column("present_share", Float),
    Column("absent_share", Float),
    Column("late_after", Interval),
    Column("left_early_before", Interval),
    Column("gap_tolerance", Interval),
    Column("set_by_user_id", Text),
    Column("set_time", _TIME),
)

STUDENT: Final = _of_session(
    "attendance_student",
    Column("user_id", Text),
    Column("display_name", Text),
    Column("class_ids", ARRAY(Text)),
    Column("add_time", _TIME),
    Column("remove_time", _TIME),
)

MARK: Final = _of_session(
    "attendance_mark",
    Column("ordinal", BigInteger),
    Column("user_id", Text),
    Column("status", SmallInteger),
    Column("reason", Text),
    Column("marked_by_user_id", Text),
    Column("mark_time", _TIME),
)

CHANGE: Final = _of_session(
    "attendance_change",
    Column("seq", BigInteger),
    Column("user_id", Text),
    Column("display_name", Text),
    Column("old_status", SmallInteger),
    Column("new_status", SmallInteger),
    Column("cause", SmallInteger),
    Column("reason", Text),
    Column("changed_by_user_id", Text),
    Column("change_time", _TIME),
)

RECORD: Final = _of_session(
    "attendance_record",
    Column("user_id", Text),
    Column("display_name", Text),
    Column("sort_name", Text),
    Column("in_roster", Boolean),
    Column("class_ids", ARRAY(Text)),
    Column("status", SmallInteger),
    Column("computed_status", SmallInteger),
    Column("mark_status", SmallInteger),
    Column("mark_reason", Text),
    Column("marked_by_user_id", Text),
    Column("mark_time", _TIME),
    Column("present", Interval),
    Column("active", Interval),
    Column("gap_count", Integer),
    Column("first_seen", _TIME),
    Column("last_seen", _TIME),
    Column("came_after", Interval),
    Column("left_before", Interval),
    Column("explanation", Text),
    Column("settled", Boolean),
    Column("session_start_time", _TIME),
    Column("update_time", _TIME),
    Column("revision", BigInteger),
)

POINT: Final = _of_session(
    "attendance_point",
    Column("record_time", _TIME),
    Column("student_count", Integer),
    Column("present_count", Integer),
    Column("connection_count", Integer),
    Column("statuses", ARRAY(SmallInteger)),
    Column("counts", ARRAY(Integer)),
)

CHANNEL: Final = _of_session(
    "channel",
    Column("name", Text),
    Column("configuration", LargeBinary),
    Column("hidden_from_students", Boolean),
    Column("create_time", _TIME),
    Column("last_activity_time", _TIME),
    Column("revision", BigInteger),
)
