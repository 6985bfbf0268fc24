"""The course of a session as its attendance goes: reported, looked at while it runs, settled at the end."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from muster_kit.db import Deadline

from muster_presence.model import ScopeKind
from muster_presence.model_attended import Attended, Phase, ended, reported
from muster_presence.model_sheet import Cause
from muster_presence.store_attendance import AttendanceRoom, Roster, Settled
from muster_presence.usecases_attendance_records import BY_THE_CLOCK, Custom, Observed, Why, write_down

LOOK_DEADLINE: Final = "look"
"""A session that runs is looked at anew: its records change with time."""

ROSTER_DEADLINE: Final = "roster"
"""Who is expected in a session that runs is asked for anew: classes change meanwhile."""

SETTLE_DEADLINE: Final = "settle"
"""A session is over, and the ledger has all that was still on its way."""


_FORGOTTEN_AFTER: Final = timedelta(hours=12)
"""Nobody ended a session that began or paused so long ago; it is looked at less often from then on."""
_SELDOM: Final = 60
_ON_ITS_WAY: Final = timedelta(seconds=3)
"""So long it may take until the ledger knows who came just before; nobody is absent in the first moment."""
_LEAST_OFTEN: Final = 12
"""Time alone makes somebody who left early absent; that is seen after so many intervals at the latest."""


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
    # What is settled stays, whoever comes into the class later.
    if attended.settle_time is not None:
        roster = None
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
    await _plan(room, attended, custom)


async def look_again(room: AttendanceRoom, deadline: Deadline, seen: Observed, custom: Custom) -> None:
    """Write down what changed while a session runs, and look again later: the longer it is quiet, the later.

    Who comes or goes has it looked at soon.
    """
    if not await room.complete_deadline(deadline):
        return
    book = await room.book()
    if not book.attended.is_running:
        return
    await write_down(room, book, seen, custom, BY_THE_CLOCK)
    await room.note_activities(seen.activities)
    last = await room.last_point()
    quiet = room.now - last.record_time if last else timedelta()
    longest = custom.look_every * (_LEAST_OFTEN if seen.stays else _SELDOM)
    pause = min(max(quiet / 2, custom.look_every), longest)
    await room.set_deadline(LOOK_DEADLINE, _again(room, book.attended, pause))


async def take_roster(
    room: AttendanceRoom, deadline: Deadline, roster: Roster | None, seen: Observed, custom: Custom
) -> None:
    """Take in who is expected by now, with what that changes; and ask again a little later.

    Without a roster the session is there no more. It has ended then, though no word of it came.
    """
    if not await room.complete_deadline(deadline):
        return
    book = await room.book()
    attended = book.attended
    if not attended.is_running:
        return
    if roster is None:
        over = ended(attended, room.now)
        await room.save_attended(over)
        await _plan(room, over, custom)
        return
    if set(roster.students) != set(book.students):
        # What the clock made of it until now is not the roster's doing.
        await write_down(room, book, seen, custom, BY_THE_CLOCK)
        await room.put_students(roster.students)
        await write_down(room, await room.book(), seen, custom, Why(Cause.RULE_CHANGED))
    if tuple(roster.teacher_user_ids) != attended.teacher_user_ids:
        await room.save_attended(replace(attended, teacher_user_ids=tuple(roster.teacher_user_ids)))
    await room.set_deadline(ROSTER_DEADLINE, _again(room, attended, custom.ask_every))


async def settle(room: AttendanceRoom, deadline: Deadline, seen: Observed, custom: Custom) -> None:
    """Make the attendance of a session that is over final, marks apart."""
    if not await room.complete_deadline(deadline):
        return
    book = await room.book()
    if book.attended.phase is not Phase.ENDED or book.attended.settle_time is not None:
        return
    point = await write_down(room, book, seen, custom, Why(Cause.SETTLED), settles=True)
    await room.note_activities(seen.activities)
    room.append(Settled(point))


async def _plan(room: AttendanceRoom, attended: Attended, custom: Custom) -> None:
    """Set the deadlines of where the session stands."""
    if attended.is_running:
        await room.set_deadline(LOOK_DEADLINE, room.now + min(custom.look_every, _ON_ITS_WAY))
    else:
        await room.cancel_deadline(LOOK_DEADLINE)
    if attended.is_running and attended.class_ids:
        await room.set_deadline(ROSTER_DEADLINE, room.now + custom.ask_every)
    else:
        await room.cancel_deadline(ROSTER_DEADLINE)
    if attended.phase is Phase.ENDED and attended.settle_time is None:
        await room.set_deadline(SETTLE_DEADLINE, room.now + custom.settle_after)


def _again(room: AttendanceRoom, attended: Attended, every: timedelta) -> datetime:
    seldom = room.now - attended.last_change_time(room.now) > _FORGOTTEN_AFTER
    return room.now + every * (_SELDOM if seldom else 1)
