"""A session as a client holds it: folded from the snapshot and the events of its watch."""

from typing import Any

from muster.session.v1 import block_pb2, session_pb2

Seat = tuple[str, int]
"""Name and role."""

Block = tuple[int, str, str]
"""Status, round and what is asked."""


class SessionState:
    """What is known of a session after some frames."""

    def __init__(self) -> None:
        self.status = 0
        self.title = ""
        self.seats: dict[str, Seat] = {}
        self.blocks: dict[str, Block] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionState) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SessionState({vars(self)})"

    def apply(self, frame: Any) -> None:
        """Take a frame in."""
        if frame.HasField("snapshot"):
            self._begin(frame.snapshot)
        for event in frame.events.events:
            kind = event.WhichOneof("event")
            getattr(self, f"_{kind}")(getattr(event, kind))

    def _begin(self, snapshot: Any) -> None:
        self._session(snapshot.session)
        joined = session_pb2.PARTICIPANT_STATUS_JOINED
        self.seats = {
            each.participant_id: _seat(each) for each in snapshot.participants if each.status == joined
        }
        self.blocks = {each.block_id: _block(each) for each in snapshot.blocks}
        self.blocks |= {each.block_id: (each.status, "", "") for each in snapshot.pending_blocks}

    def _session(self, session: Any) -> None:
        self.status = session.status
        self.title = session.settings.title

    def _session_updated(self, event: Any) -> None:
        self._session(event.session)

    def _status_changed(self, event: Any) -> None:
        self._session(event.session)

    def _participant_joined(self, event: Any) -> None:
        self.seats[event.participant.participant_id] = _seat(event.participant)

    def _participant_updated(self, event: Any) -> None:
        self.seats[event.participant.participant_id] = _seat(event.participant)

    def _participant_left(self, event: Any) -> None:
        del self.seats[event.participant_id]

    def _participant_removed(self, event: Any) -> None:
        del self.seats[event.participant_id]

    def _blocks_added(self, event: Any) -> None:
        self.blocks |= {each.block_id: (each.status, "", "") for each in event.blocks}

    def _block_activated(self, event: Any) -> None:
        self.blocks[event.block.block_id] = _block(event.block)

    def _block_closed(self, event: Any) -> None:
        self._set_status(event.block_id, block_pb2.BLOCK_STATUS_CLOSED)

    def _block_skipped(self, event: Any) -> None:
        self._set_status(event.block_id, block_pb2.BLOCK_STATUS_SKIPPED)

    def _set_status(self, block_id: str, status: int) -> None:
        _, round_id, prompt = self.blocks[block_id]
        self.blocks[block_id] = (status, round_id, prompt)


def _seat(participant: Any) -> Seat:
    return participant.display_name, participant.role


def _block(block: Any) -> Block:
    return block.status, block.round_id, block.content.prompt
