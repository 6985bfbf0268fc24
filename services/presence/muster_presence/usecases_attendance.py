"""What teachers decide of attendance: marks, and the rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from muster_kit.errors import MusterError, Reason, Violation

from muster_presence.model_attendance import AttendanceRule
from muster_presence.model_attended import Attended, Phase
from muster_presence.model_sheet import (
    Cause,
    Mark,
    NewMark,
    Record,
    SessionRule,
    make_sheet,
    require_revision,
)
from muster_presence.store_attendance import AttendanceRoom, RuleChanged
from muster_presence.usecases_attendance_records import (
    Custom,
    Observed,
    Why,
    add_point,
    change_of,
    tell,
    write_down,
)


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
        changes.append(change_of(stored.status, new, Why(cause, mark.reason, by), room.now))
    await room.save_records(book.attended, records, book.students)
    await tell(room, records, changes)
    after = before | {record.user_id: record for record in records}
    if changes and book.attended.start_time is not None:
        await add_point(room, after.values(), seen, custom)
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
        why = Why(Cause.RULE_CHANGED, by=by)
        await write_down(room, replace(book, rule=after), seen, custom, why, settles=is_settled)
    return after


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
