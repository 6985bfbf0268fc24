"""The whole of a session, as far as the viewer may see it."""

from typing import Final

from muster.session.v1 import session_pb2 as pb

from muster_session.convert import participant_message, session_message
from muster_session.convert_blocks import block_message, outline_message, shown_key
from muster_session.model_blocks import BlockPlace, BlockStatus
from muster_session.store_directory import SnapshotRows

_WHOLE_BLOCKS_BYTES: Final = 1_000_000
"""So much of the blocks is sent whole; clients take 4 MiB a message unless told otherwise."""


def snapshot_message(rows: SnapshotRows, *, staff: bool) -> pb.SessionSnapshot:
    """Return everything for staff; for others blocks that were shown, and outlines of the rest.

    Of a session too large for one message the active blocks come whole, the others as far as there
    is room, and outlines of the rest.
    """
    hidden = rows.session.settings.answers_hidden
    left = _WHOLE_BLOCKS_BYTES
    whole: set[str] = set()
    visible = (block for block in rows.blocks if staff or block.was_shown)
    for block in sorted(visible, key=lambda block: block.status is not BlockStatus.ACTIVE):
        left -= len(block.body.content) + len(block.body.answer_key)
        if left > 0 or block.status is BlockStatus.ACTIVE:
            whole.add(block.block_id)
    return pb.SessionSnapshot(
        session=session_message(rows.session),
        blocks=[
            block_message(block, with_key=staff or shown_key(block, answers_hidden=hidden))
            for block in rows.blocks
            if block.block_id in whole
        ],
        pending_blocks=[
            outline_message(BlockPlace(block.block_id, block.position, block.status))
            for block in rows.blocks
            if block.block_id not in whole
        ],
        participants=[participant_message(seat) for seat in rows.seats],
    )
