"""Writing records of attendance down, with their history, and how it stood at times."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from muster_presence.model_attendance import AttendanceRule, Status
from muster_presence.model_channels import Times
from muster_presence.model_sheet import (
    NOTHING_KNOWN,
    Book,
    Cause,
    Change,
    Point,
    Record,
    Stay,
    count,
    make_sheet,
)
from muster_presence.store_attendance import AttendanceRoom, RecordChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is seen from outside of a session's attendance: who was there when, and how many devices are.

    `connections` is None while nobody knows; `activities` are when somebody last acted on which channel.
    """

    stays: Sequence[Stay] = ()
    connections: int | None = None
    activities: Mapping[str, datetime] = field(default_factory=dict)

    def here(self, now: datetime) -> set[str]:
        """Return who is there."""
        return {stay.user_id for stay in self.stays if stay.span.holds(now)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """How the deployment has it: the usual rule, how often running sessions are looked at, when settled.

    `ask_every` is how often it is asked who is expected in them, `times` how devices are kept track of.
    """

    rule: AttendanceRule
    times: Times
    look_every: timedelta
    ask_every: timedelta
    settle_after: timedelta


@dataclass(frozen=True, slots=True)
class Why:
    """What makes records change: `by` whom is empty for the clock."""

    cause: Cause
    reason: str = ""
    by: str = ""


BY_THE_CLOCK: Final = Why(Cause.COMPUTED)


async def write_down(
    room: AttendanceRoom, book: Book, seen: Observed, custom: Custom, why: Why, *, settles: bool = False
) -> Point:
    """Store what counts otherwise than the last time, with its history; everything when it settles.

    Of who is not expected any more, and never came, no record is left.
    """
    seen = replace(seen, stays=await _told_of(room, book, seen.stays))
    # What was settled before is computed anew as well.
    open_book = replace(book, attended=replace(book.attended, settle_time=None))
    records = make_sheet(open_book, seen.stays, custom.rule, as_of=room.now)
    news, changes = [], []
    for record in records:
        stored = book.records.get(record.user_id)
        is_new = stored is None or _decisive(stored) != _decisive(record)
        if is_new or settles:
            new = replace(record, settled=settles, revision=record.revision + is_new)
            news.append(replace(new, update_time=room.now if is_new else record.update_time))
        old_status = stored.status if stored else Status.UNKNOWN
        if record.status is not old_status:
            changes.append(change_of(old_status, news[-1], why, room.now))
    gone = [
        replace(book.records[each], computed=NOTHING_KNOWN, mark=None, in_roster=False)
        for each in sorted(book.records.keys() - {record.user_id for record in records})
    ]
    for record in gone:
        old_status = book.records[record.user_id].status
        if old_status is not Status.UNKNOWN:
            changes.append(change_of(old_status, record, why, room.now))
    await room.remove_records([record.user_id for record in gone])
    attended = book.attended
    if settles:
        attended = replace(attended, settle_time=room.now)
        await room.save_attended(attended)
    await room.save_records(attended, news, book.students)
    await tell(room, [*news, *gone], changes)
    return await add_point(room, records, seen, custom)


def _decisive(record: Record) -> tuple[Status, Status, bool]:
    return record.status, record.computed.status, record.in_roster


async def _told_of(room: AttendanceRoom, book: Book, stays: Sequence[Stay]) -> Sequence[Stay]:
    """Return the stays without those of who has been erased since they were looked up."""
    news = (
        {stay.user_id for stay in stays}
        - {student.user_id for student in book.students}
        - book.records.keys()
    )
    erased = await room.erased(news)
    return [stay for stay in stays if stay.user_id not in erased or stay.span.start > erased[stay.user_id]]


async def tell(room: AttendanceRoom, records: Sequence[Record], changes: Sequence[Change]) -> None:
    """Put changes into the history and the log, with the record after each."""
    await room.add_changes(changes)
    by_user = {record.user_id: record for record in records}
    for change in changes:
        room.append(RecordChanged(change, by_user[change.user_id]))


async def add_point(room: AttendanceRoom, records: Iterable[Record], seen: Observed, custom: Custom) -> Point:
    """Return how it stands now, and keep that if it is new: of each stretch of time the last such point."""
    last = await room.last_point()
    connections = seen.connections
    if connections is None:
        # While nobody knows, nothing is said of it.
        connections = last.connection_count if last is not None else 0
    point = count(records, seen.here(room.now), connections=connections, now=room.now)
    if last is None:
        await room.add_point(point)
    elif replace(last, record_time=point.record_time) != point:
        stretches = [
            int(each.record_time.timestamp() / custom.look_every.total_seconds()) for each in (last, point)
        ]
        await room.add_point(point, instead_of=last if stretches[0] == stretches[1] else None)
    return point


def change_of(old: Status, record: Record, why: Why, now: datetime) -> Change:
    """Return the change from an old status to that of a record."""
    return Change(
        user_id=record.user_id,
        display_name=record.display_name,
        old_status=old,
        new_status=record.status,
        cause=why.cause,
        change_time=now,
        reason=why.reason,
        changed_by_user_id=why.by,
    )
