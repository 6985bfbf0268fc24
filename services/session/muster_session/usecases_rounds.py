"""Moves that scoring makes first: opening, closing and skipping blocks, pausing, resuming and ending.

Each is begun in one transaction, which checks it and notes the intent; then scoring is asked; then
it is completed in a second transaction, with its events. See `transitions.py` for who drives this.
"""

from datetime import timedelta

from muster_kit.caller import Caller
from muster_kit.db import Deadline
from muster_kit.errors import MusterError, Reason
from muster_kit.ids import new_id

from muster_session.model import OVER, Session, Status, Verb
from muster_session.model_blocks import (
    BlockStatus,
    BusyError,
    Transition,
    TransitionKind,
)
from muster_session.store import Room
from muster_session.usecases_access import session_of_staff

CLOSE_DEADLINE = "close:"
"""Then comes the id of the block whose time is over."""

FINISH_DEADLINE = "finish:"
"""Then comes the id of the transition that has to be finished by whoever is there."""

FINISH_AFTER = timedelta(seconds=5)

VERBS = {
    TransitionKind.PAUSE: Verb.PAUSE,
    TransitionKind.RESUME: Verb.RESUME,
    TransitionKind.END: Verb.END,
}

_RUNNING = frozenset({Status.ACTIVE, Status.PAUSED})


async def begin_activate(
    room: Room, caller: Caller, block_id: str, *, time_limit: timedelta | None
) -> Transition:
    """Begin to open a block, or the next pending one when none is named.

    MusterError: SESSION_STATUS, BLOCK_STATUS, BLOCK_BUSY, NOT_FOUND.
    """
    session = await session_of_staff(room, caller)
    session.require(frozenset({Status.ACTIVE}))
    block = await (room.blocks.get(block_id) if block_id else room.blocks.next_pending())
    await _require_idle(room, session, TransitionKind.ACTIVATE, block.block_id)
    block.require(BlockStatus.PENDING)
    if not session.settings.parallel_blocks_allowed and await room.blocks.active():
        raise MusterError(Reason.BLOCK_BUSY, detail="another block is active")
    limit = time_limit or block.body.time_limit or session.settings.default_time_limit
    # A block is opened once, so its id does for its round: whoever knows the one need not ask the other.
    return await _begin(
        room,
        TransitionKind.ACTIVATE,
        caller,
        block_id=block.block_id,
        round_id=block.block_id,
        time_limit=limit,
    )


async def begin_close(room: Room, caller: Caller, block_id: str) -> Transition:
    """Begin to close an active block; SESSION_STATUS, BLOCK_STATUS, NOT_FOUND."""
    session = await session_of_staff(room, caller)
    session.require(_RUNNING)
    block = await room.blocks.get(block_id)
    await _require_idle(room, session, TransitionKind.CLOSE, block_id)
    block.require(BlockStatus.ACTIVE)
    return await _begin(room, TransitionKind.CLOSE, caller, block_id=block_id, round_id=block.round_id)


async def begin_close_on_time(room: Room, deadline: Deadline) -> Transition | None:
    """Begin to close a block whose time is over; None when somebody was there before."""
    if not await room.complete_deadline(deadline):
        return None
    block_id = deadline.key.removeprefix(CLOSE_DEADLINE)
    session, block = await room.sessions.get(), await room.blocks.get(block_id)
    await _require_idle(room, session, TransitionKind.CLOSE, block_id)
    if session.status is not Status.ACTIVE or block.status is not BlockStatus.ACTIVE:
        return None
    return await _begin(
        room, TransitionKind.CLOSE, None, block_id=block_id, round_id=block.round_id, by_deadline=True
    )


async def begin_skip(room: Room, caller: Caller, block_id: str) -> Transition:
    """Begin to leave a block out; SESSION_STATUS, BLOCK_STATUS, NOT_FOUND."""
    session = await session_of_staff(room, caller)
    session.require(frozenset(Status) - OVER)
    block = await room.blocks.get(block_id)
    await _require_idle(room, session, TransitionKind.SKIP, block_id)
    block.require(BlockStatus.PENDING, BlockStatus.ACTIVE)
    return await _begin(room, TransitionKind.SKIP, caller, block_id=block_id, round_id=block.round_id)


async def begin_move(
    room: Room, caller: Caller, kind: TransitionKind, *, expected_revision: int, reason: str
) -> Transition:
    """Begin to pause, resume or end the session; SESSION_STATUS, REVISION_STALE."""
    session = await session_of_staff(room, caller)
    await _require_idle(room, session, kind)
    session.require_revision(expected_revision)
    session.after(VERBS[kind], room.now)
    return await _begin(room, kind, caller, reason=reason)


async def _begin(
    room: Room,
    kind: TransitionKind,
    caller: Caller | None,
    *,
    block_id: str = "",
    round_id: str = "",
    time_limit: timedelta | None = None,
    by_deadline: bool = False,
    reason: str = "",
) -> Transition:
    transition = Transition(
        transition_id=new_id(),
        session_id=room.session_id,
        organization_id=room.organization_id,
        kind=kind,
        begin_time=room.now,
        block_id=block_id,
        round_id=round_id,
        time_limit=time_limit,
        by_deadline=by_deadline,
        reason=reason,
        changed_by_user_id=caller.subject if caller else "",
    )
    await room.transitions.add(transition)
    await room.set_deadline(FINISH_DEADLINE + transition.transition_id, room.now + FINISH_AFTER)
    return transition


async def _require_idle(room: Room, session: Session, kind: TransitionKind, block_id: str = "") -> None:
    for other in await room.transitions.open():
        of_session = kind.is_of_session or other.kind.is_of_session
        one_at_a_time = kind is TransitionKind.ACTIVATE and not session.settings.parallel_blocks_allowed
        if of_session or one_at_a_time or other.block_id == block_id:
            raise BusyError(other)
