"""The whole of a session, as far as the viewer may see it."""

from muster.session.v1 import session_pb2 as pb

from muster_session.convert import participant_message, session_message
from muster_session.convert_blocks import block_message, outline_message, shown_key
from muster_session.model_blocks import BlockPlace
from muster_session.store_directory import SnapshotRows


def snapshot_message(rows: SnapshotRows, *, staff: bool) -> pb.SessionSnapshot:
    """Return everything for staff; for others blocks that were shown, and outlines of the rest."""
    hidden = rows.session.settings.answers_hidden
    shown = [block for block in rows.blocks if staff or block.was_shown]
    rest = [] if staff else [block for block in rows.blocks if not block.was_shown]
    return pb.SessionSnapshot(
        session=session_message(rows.session),
        blocks=[
            block_message(block, with_key=staff or shown_key(block, answers_hidden=hidden)) for block in shown
        ],
        pending_blocks=[
            outline_message(BlockPlace(block.block_id, block.position, block.status)) for block in rest
        ],
        participants=[participant_message(seat) for seat in rows.seats],
    )
