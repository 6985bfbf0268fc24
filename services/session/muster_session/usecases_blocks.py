"""Writing the blocks of a session: add, change, delete, reorder."""

from collections.abc import Sequence
from dataclasses import replace

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason, Violation

from muster_session.events import BlockDeleted, BlocksAdded, BlocksReordered, BlockUpdated
from muster_session.model import OVER, Session, Status
from muster_session.model_blocks import (
    Block,
    BlockBody,
    BlockPlace,
    BlockStatus,
    BusyError,
)
from muster_session.store import Room
from muster_session.usecases_access import session_of_staff

MOST_BLOCKS = 2000
"""As many as fit into one request to reorder them."""

_OPEN = frozenset(Status) - OVER


async def add_blocks(
    room: Room, caller: Caller, bodies: Sequence[tuple[str, BlockBody]], *, position: int
) -> Sequence[Block]:
    """Add blocks, the first of them at `position`, or at the end when that is 0.

    MusterError: SESSION_STATUS once it is over, INVALID_FIELD for a place that leaves a gap, TOO_LARGE.
    """
    session = await _writable(room, caller)
    if session.block_count + len(bodies) > MOST_BLOCKS:
        raise MusterError(Reason.TOO_LARGE, detail=f"more than {MOST_BLOCKS} blocks")
    end = session.block_count + 1
    if position > end:
        raise MusterError(Reason.INVALID_FIELD, violations=[Violation("position", f"must be at most {end}")])
    added = await room.blocks.add(bodies, position or end)
    room.append(BlocksAdded([place_of(block) for block in added]))
    return added


async def update_block(
    room: Room, caller: Caller, block_id: str, body: BlockBody, *, expected_revision: int
) -> Block:
    """Replace a pending block; BLOCK_STATUS for others."""
    await _writable(room, caller)
    block = await _pending(room, block_id, expected_revision)
    updated = await room.blocks.save(replace(block, body=body))
    room.append(BlockUpdated(place_of(updated)))
    return updated


async def delete_block(room: Room, caller: Caller, block_id: str, *, expected_revision: int) -> None:
    """Delete a pending block; BLOCK_STATUS for others."""
    await _writable(room, caller)
    await room.blocks.remove(await _pending(room, block_id, expected_revision))
    room.append(BlockDeleted(block_id))


async def reorder_blocks(room: Room, caller: Caller, block_ids: Sequence[str]) -> Sequence[str]:
    """Put the blocks in a new order, in which all that are not pending stay where they are.

    MusterError: INVALID_FIELD unless each block is named once, BLOCK_STATUS.
    """
    await _writable(room, caller)
    await _require_still(room)
    places = {place.block_id: place for place in await room.blocks.places()}
    if len(set(block_ids)) != len(block_ids) or places.keys() != set(block_ids):
        violation = Violation("block_ids", "must name every block of the session once")
        raise MusterError(Reason.INVALID_FIELD, violations=[violation])
    for position, block_id in enumerate(block_ids, start=1):
        place = places[block_id]
        if place.status is not BlockStatus.PENDING and place.position != position:
            raise MusterError(Reason.BLOCK_STATUS, detail=f"{block_id} is {place.status}")
    await room.blocks.place(block_ids)
    room.append(BlocksReordered(block_ids))
    return block_ids


def place_of(block: Block) -> BlockPlace:
    """Return the block without its content."""
    return BlockPlace(block.block_id, block.position, block.status)


async def _writable(room: Room, caller: Caller) -> Session:
    session = await session_of_staff(room, caller)
    session.require(_OPEN)
    return session


async def _pending(room: Room, block_id: str, expected_revision: int) -> Block:
    await _require_still(room, block_id)
    block = await room.blocks.get(block_id)
    block.require(BlockStatus.PENDING)
    block.require_revision(expected_revision)
    return block


async def _require_still(room: Room, block_id: str = "") -> None:
    """Raise BusyError while this block, or any, is on the move: it is pending, and soon will not be."""
    for transition in await room.transitions.open():
        if not transition.kind.is_of_session and block_id in ("", transition.block_id):
            raise BusyError(transition)
