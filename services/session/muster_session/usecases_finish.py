"""Completing a move once scoring has made it: the state, its events, and the answer to who asked."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from muster_kit.errors import Reason

from muster_session.events import BlockActivated, BlockClosed, BlockSkipped
from muster_session.model import Session
from muster_session.model_blocks import Block, BlockStatus, Transition, TransitionKind
from muster_session.store import Room
from muster_session.usecases_rounds import CLOSE_DEADLINE, FINISH_DEADLINE, VERBS
from muster_session.usecases_status import record_move

ANSWER_GRACE: Final = timedelta(milliseconds=250)
"""So long after the end of its time a block is closed: what was sent in time is still on its way."""

_CLOSE_AGAIN_AFTER: Final = timedelta(seconds=5)
_FINISH_AGAIN_AFTER: Final = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class Plan:
    """A move that was begun, with what scoring has to be told of; `blocks` are those it touches."""

    transition: Transition
    session: Session
    blocks: Sequence[Block]
    now: datetime


@dataclass(frozen=True, slots=True)
class Times:
    """What scoring made of a move, by round; what it does not say is as the session reckons it."""

    open_times: Mapping[str, datetime] = field(default_factory=dict)
    close_times: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encode:
    """How outcomes are kept: as the contract's bytes of what the caller is answered."""

    session: Callable[[Session], bytes]
    block: Callable[[Block], bytes]


async def plan(room: Room, transition: Transition) -> Plan:
    """Return what has to be done for a move."""
    if transition.kind.is_of_session:
        blocks = await room.blocks.active()
    else:
        blocks = [await room.blocks.get(transition.block_id)]
    return Plan(transition, await room.sessions.get(), blocks, room.now)


async def reopen_plan(room: Room, transition_id: str) -> Plan | None:
    """Return what is left to do for a move; None when nothing is."""
    transition = await room.transitions.get(transition_id)
    return await plan(room, transition) if transition.is_open else None


async def complete(room: Room, asked: Plan, times: Times, encode: Encode) -> Transition:
    """Make the move that scoring has made; returns the transition with its outcome.

    Somebody else may have completed it meanwhile; then that one stands.
    """
    transition = await room.transitions.get(asked.transition.transition_id)
    if not transition.is_open:
        return transition
    await room.cancel_deadline(FINISH_DEADLINE + transition.transition_id)
    # Read again: nobody else moves these blocks, but counters of the session go on.
    fresh = replace(await plan(room, transition), now=asked.now)
    outcome = await _COMPLETE[transition.kind](room, fresh, times)
    encoded = encode.session(outcome) if isinstance(outcome, Session) else encode.block(outcome)
    completed = replace(transition, outcome=encoded)
    await room.transitions.save(completed)
    return completed


async def try_again_soon(room: Room, transition_id: str) -> None:
    """Let a move be finished shortly, as scoring was away for a moment."""
    transition = await room.transitions.get(transition_id)
    if transition.is_open:
        await room.set_deadline(FINISH_DEADLINE + transition_id, room.now + _FINISH_AGAIN_AFTER)


async def give_up(room: Room, transition_id: str, reason: Reason) -> Transition:
    """End a move that scoring refused; everything is as before it."""
    transition = await room.transitions.get(transition_id)
    if not transition.is_open:
        return transition
    await room.cancel_deadline(FINISH_DEADLINE + transition_id)
    if transition.by_deadline:
        # The time of the block is over whatever scoring says: it has to close some day.
        await room.set_deadline(CLOSE_DEADLINE + transition.block_id, room.now + _CLOSE_AGAIN_AFTER)
    failed = replace(transition, failure=reason.value)
    await room.transitions.save(failed)
    return failed


async def _activate(room: Room, asked: Plan, times: Times) -> Block:
    transition, block = asked.transition, asked.blocks[0]
    open_time = times.open_times.get(transition.round_id, asked.now)
    close_time = times.close_times.get(transition.round_id)
    if close_time is None and transition.time_limit is not None:
        close_time = open_time + transition.time_limit
    active = await room.blocks.save(
        replace(
            block,
            status=BlockStatus.ACTIVE,
            round_id=transition.round_id,
            open_time=open_time,
            close_time=close_time,
            body=replace(block.body, time_limit=transition.time_limit),
        )
    )
    await room.sessions.point_at(active.block_id)
    await _set_clock(room, active)
    room.append(BlockActivated(active))
    return active


async def _close(room: Room, asked: Plan, times: Times) -> Block:
    closed = await _closed(room, asked, asked.blocks[0], times)
    await _point_at_what_is_left(room)
    return closed


async def _closed(room: Room, asked: Plan, block: Block, times: Times) -> Block:
    close_time = times.close_times.get(block.round_id, room.now)
    closed = await room.blocks.save(
        replace(block, status=BlockStatus.CLOSED, close_time=close_time, time_left=None)
    )
    await room.cancel_deadline(CLOSE_DEADLINE + block.block_id)
    shown_key = None if asked.session.settings.answers_hidden else closed.body.answer_key
    room.append(
        BlockClosed(block.block_id, block.round_id, close_time, shown_key, asked.transition.by_deadline)
    )
    return closed


async def _skip(room: Room, asked: Plan, _: Times) -> Block:
    block = asked.blocks[0]
    skipped = await room.blocks.save(
        replace(block, status=BlockStatus.SKIPPED, close_time=None, time_left=None)
    )
    await room.cancel_deadline(CLOSE_DEADLINE + block.block_id)
    if block.status is BlockStatus.ACTIVE:
        await _point_at_what_is_left(room)
    room.append(BlockSkipped(block.block_id))
    return skipped


async def _pause(room: Room, asked: Plan, _: Times) -> Session:
    pause_time = asked.transition.begin_time
    clocks = []
    for block in asked.blocks:
        left = None if block.close_time is None else max(block.close_time - pause_time, timedelta(0))
        clocks.append(await room.blocks.save(replace(block, close_time=None, time_left=left)))
        await room.cancel_deadline(CLOSE_DEADLINE + block.block_id)
    return await _moved(room, asked, clocks)


async def _resume(room: Room, asked: Plan, times: Times) -> Session:
    clocks = []
    for block in asked.blocks:
        close_time = times.close_times.get(block.round_id)
        if close_time is None and block.time_left is not None:
            close_time = asked.now + block.time_left
        clock = await room.blocks.save(replace(block, close_time=close_time, time_left=None))
        await _set_clock(room, clock)
        clocks.append(clock)
    return await _moved(room, asked, clocks)


async def _end(room: Room, asked: Plan, times: Times) -> Session:
    for block in asked.blocks:
        await _closed(room, asked, block, times)
    await room.sessions.point_at("")
    await room.sessions.release_code()
    return await _moved(room, asked, ())


async def _moved(room: Room, asked: Plan, clocks: Sequence[Block]) -> Session:
    transition = asked.transition
    return await record_move(
        room,
        await room.sessions.get(),
        VERBS[transition.kind],
        by=transition.changed_by_user_id,
        reason=transition.reason,
        clocks=clocks,
    )


async def _set_clock(room: Room, block: Block) -> None:
    if block.close_time is not None:
        await room.set_deadline(CLOSE_DEADLINE + block.block_id, block.close_time + ANSWER_GRACE)


async def _point_at_what_is_left(room: Room) -> None:
    active = await room.blocks.active()
    await room.sessions.point_at(active[-1].block_id if active else "")


_COMPLETE: Final[Mapping[TransitionKind, Callable[[Room, Plan, Times], Awaitable[Session | Block]]]] = {
    TransitionKind.ACTIVATE: _activate,
    TransitionKind.CLOSE: _close,
    TransitionKind.SKIP: _skip,
    TransitionKind.PAUSE: _pause,
    TransitionKind.RESUME: _resume,
    TransitionKind.END: _end,
}
