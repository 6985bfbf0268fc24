"""Writing attendance: reports of sessions, rules, marks, and what the clock makes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from muster_kit.db import Deadline
from muster_kit.errors import MusterError, Reason, Violation

from muster_presence.model import ScopeKind
from muster_presence.model_attendance import AttendanceRule, Status
from muster_presence.model_attended import Attended, Phase, reported
from muster_presence.model_sheet import (
    Cause,
    Change,
    Mark,
    NewMark,
    Point,
    Record,
    SessionRule,
    Stay,
    Student,
    count,
    make_sheet,
    require_revision,
)
from muster_presence.store_attendance import AttendanceRoom, RecordChanged, Roster, RuleChanged, Settled

LOOK_DEADLINE: Final = "look"
"""A session that runs is looked at anew: its records change with time."""

SETTLE_DEADLINE: Final = "settle"
"""A session is over, and the ledger has all that was still on its way."""


_FORGOTTEN_AFTER: Final = timedelta(hours=12)
"""Nobody ended a session that began or paused so long ago; it is looked at less often from then on."""
_SELDOM: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is seen from outside of a session's attendance: who was there when, and how many devices are."""

    stays: Sequence[Stay] = ()
    connections: int = 0

    def here(self, now: datetime) -> set[str]:
        """Return who is there."""
        return {stay.user_id for stay in self.stays if stay.span.holds(now)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """How the deployment has it: the usual rule, how often running sessions are looked at, when settled."""

    rule: AttendanceRule
    look_every: timedelta
    settle_after: timedelta


@dataclass(frozen=True, slots=True)
class _Why:
    cause: Cause
    reason: str = ""
    by: str = ""


_BY_THE_CLOCK: Final = _Why(Cause.COMPUTED)


async def report_scope(
    room: AttendanceRoom, told: Attended, roster: Roster | None, custom: Custom, *, change_time: datetime
) -> None:
    """Take in where a session stands; an older report than the last changes nothing.

    Without a roster the one there is stays.
    """
    known = await room.attended()
    attended = reported(known, told, change_time)
    if attended is known:
        return
    if roster is not None:
        attended = replace(attended, teacher_user_ids=tuple(roster.teacher_user_ids))
    elif known is not None:
        attended = replace(attended, teacher_user_ids=known.teacher_user_ids)
    await room.save_attended(attended)
    if attended.scope.kind is not ScopeKind.SESSION:
        # Of workouts it is known where they stand; attendance is kept of sessions.
        return
    if roster is not None:
        await room.put_students(roster.students)
    if attended.is_running:
        await room.set_deadline(LOOK_DEADLINE, room.now)
    else:
        await room.cancel_deadline(LOOK_DEADLINE)
    if attended.phase is Phase.ENDED and attended.settle_time is None:
        await room.set_deadline(SETTLE_DEADLINE, room.now + custom.settle_after)


async def look_again(room: AttendanceRoom, deadline: Deadline, seen: Observed, custom: Custom) -> None:
    """Write down what changed while a session runs, and look again a little later."""
    if not await room.complete_deadline(deadline):
        return
    book = await room.book()
    if not book.attended.is_running:
        return
    await _write_down(room, seen, custom, _BY_THE_CLOCK)
    seldom = room.now - book.attended.last_change_time(room.now) > _FORGOTTEN_AFTER
    pause = custom.look_every * (_SELDOM if seldom else 1)
    await room.set_deadline(LOOK_DEADLINE, room.now + pause)


async def settle(room: AttendanceRoom, deadline: Deadline, seen: Observed, custom: Custom) -> None:
    """Make the attendance of a session that is over final, marks apart."""
    if not await room.complete_deadline(deadline):
        return
    attended = (await room.book()).attended
    if attended.phase is not Phase.ENDED or attended.settle_time is not None:
        return
    point = await _write_down(room, seen, custom, _Why(Cause.SETTLED), settles=True)
    room.append(Settled(point))


async def mark_attendance(
    room: AttendanceRoom,
    marks: Sequence[NewMark],
    seen: Observed,
    custom: Custom,
    *,
    by: str,
    require: Callable[[Attended], None],
) -> Sequence[Record]:
    """Set marks, all or none; return the records after it in the same order.

    MusterError: NOT_FOUND and what `require` raises, SESSION_STATUS for a cancelled session, REVISION_STALE,
    INVALID_FIELD for who is named twice or is not in the session.
    """
    book = await room.book()
    require(book.attended)
    if book.attended.phase is Phase.CANCELLED:
        raise MusterError(Reason.SESSION_STATUS, detail="it was cancelled")
    before = {record.user_id: record for record in make_sheet(book, seen.stays, custom.rule, as_of=room.now)}
    _require_known(marks, before)
    decided = [
        Mark(
            user_id=mark.user_id,
            status=mark.status,
            reason=mark.reason,
            marked_by_user_id=by,
            mark_time=room.now,
        )
        for mark in marks
    ]
    # Withdrawing nothing is no decision.
    decided = [mark for mark in decided if mark.status or before[mark.user_id].mark]
    if decided:
        await room.add_marks(decided)
    records, changes = [], []
    for mark in decided:
        old = before[mark.user_id]
        new = replace(
            old, mark=mark if mark.status else None, revision=old.revision + 1, update_time=room.now
        )
        cause = Cause.MARKED if mark.status else Cause.MARK_WITHDRAWN
        records.append(new)
        # What the history said last, though the clock may have made something else of it since.
        stored = book.records.get(mark.user_id, old)
        changes.append(_change(stored.status, new, _Why(cause, mark.reason, by), room.now))
    await _save(room, book.attended, records, changes, book.students)
    after = before | {record.user_id: record for record in records}
    return [after[mark.user_id] for mark in marks]


async def set_rule(
    room: AttendanceRoom,
    rule: AttendanceRule | None,
    seen: Observed,
    custom: Custom,
    *,
    by: str,
    expected_revision: int,
    require: Callable[[Attended], None],
) -> SessionRule:
    """Change the rule, None for the deployment's; what was settled is settled anew from what was observed.

    MusterError: NOT_FOUND and what `require` raises, REVISION_STALE.
    """
    book = await room.book()
    require(book.attended)
    require_revision(book.rule.revision, expected_revision)
    after = SessionRule(own=rule, revision=book.rule.revision + 1)
    await room.add_rule(after, by)
    room.append(RuleChanged(rule or custom.rule))
    if book.attended.start_time is not None:
        is_settled = book.attended.settle_time is not None
        await _write_down(room, seen, custom, _Why(Cause.RULE_CHANGED, by=by), settles=is_settled)
    return after


async def _write_down(
    room: AttendanceRoom, seen: Observed, custom: Custom, why: _Why, *, settles: bool = False
) -> Point:
    """Store what counts otherwise than the last time, with its history; everything when it settles."""
    book = await room.book()
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
            changes.append(_change(old_status, news[-1], why, room.now))
    attended = book.attended
    if settles:
        attended = replace(attended, settle_time=room.now)
        await room.save_attended(attended)
    await _save(room, attended, news, changes, book.students)
    point = count(records, seen.here(room.now), connections=seen.connections, now=room.now)
    await _add_point(room, point, custom.look_every)
    return point


def _decisive(record: Record) -> tuple[Status, Status, bool]:
    return record.status, record.computed.status, record.in_roster


async def _save(
    room: AttendanceRoom,
    attended: Attended,
    records: Sequence[Record],
    changes: Sequence[Change],
    students: Sequence[Student],
) -> None:
    await room.save_records(attended, records, students)
    await room.add_changes(changes)
    by_user = {record.user_id: record for record in records}
    for change in changes:
        room.append(RecordChanged(change, by_user[change.user_id]))


async def _add_point(room: AttendanceRoom, point: Point, every: timedelta) -> None:
    """Keep a point if anything in it is new; in place of the last one if that is as good as of now."""
    last = await room.last_point()
    if last is None:
        await room.add_point(point)
    elif replace(last, record_time=point.record_time) != point:
        # Half the time: looks come a little early or late.
        is_recent = point.record_time - last.record_time < every / 2
        await room.add_point(point, instead_of=last if is_recent else None)


def _require_known(marks: Sequence[NewMark], records: Mapping[str, Record]) -> None:
    violations, named = [], set()
    for index, mark in enumerate(marks):
        if mark.user_id in named:
            violations.append(Violation(f"marks[{index}].user_id", "is in the list already"))
        elif mark.user_id not in records:
            violations.append(Violation(f"marks[{index}].user_id", "is not in the session"))
        named.add(mark.user_id)
    if violations:
        raise MusterError(Reason.INVALID_FIELD, violations=violations)
    for mark in marks:
        require_revision(records[mark.user_id].revision, mark.expected_revision)


def _change(old: Status, record: Record, why: _Why, now: datetime) -> Change:
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
