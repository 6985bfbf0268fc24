"""The watch streams of this process by session and seat: their counts, their tickets, and their end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from muster.session.v1.session_pb2 import SessionEvent, SessionView
from muster_kit.caller import Caller, RoomRole
from muster_kit.delivery import Addressee, Delivery, DeliverySeal
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.call import Call
from muster_kit.streams import Feed, Hub, SharedView, Stamp
from muster_kit.streams.background import Background

from muster_session.convert_events import participant_count
from muster_session.store_directory import Directory
from muster_session.tickets import Tickets

COUNTS: Final = "counts"
REMOVED: Final = b"removed"
"""The signal of a session that was deleted."""

_COUNTS_PER_SECOND: Final = 4.0

# After these the tickets of a seat may say something that is not true any more.
_ABOUT_A_SEAT: Final = ("participant_left", "participant_removed", "participant_updated")


@dataclass(slots=True)
class _Watched:
    """A session that is watched here."""

    organization_id: str
    # By seat; of a few each, so as tuples, the least that thousands can be kept in.
    streams: dict[str, tuple[tuple[Call, Feed], ...]] = field(default_factory=dict)
    counts: SharedView | None = None
    asked: tuple[int, str] = (0, "")
    """The event that asked the last question, by its `seq`, and the question's round."""


class Watchers:
    """Follows the log of every watched session, as the hub's hook.

    It is the second wall behind revocations: the event that says that a seat was taken away ends
    the seat's streams here, even when the revocation was never heard. Those of a session that is
    deleted end at once; when the signal is lost they find out as they start over with its new log.
    """

    def __init__(
        self,
        hub: Hub,
        directory: Directory,
        tickets: Tickets,
        background: Background,
        seal: DeliverySeal,
    ) -> None:
        self._hub = hub
        self._directory = directory
        self._tickets = tickets
        self._background = background
        self._seal = seal
        self._watched: dict[str, _Watched] = {}
        hub.on_run(self._on_run)
        hub.on_signal(self._on_signal)

    def watching(self, session_id: str, call: Call, feed: Feed) -> "Watching":
        """Look after a stream as long as it is open: a context manager."""
        return Watching(self, session_id, call, feed)

    def add(self, session_id: str, call: Call, feed: Feed) -> None:
        """Look after a stream."""
        watched = self._watched.get(session_id)
        if watched is None:
            watched = self._watched[session_id] = _Watched(call.caller.organization_id)
        feed.room.compute(COUNTS, partial(self._counts, session_id), rate_per_second=_COUNTS_PER_SECOND)
        seat = call.caller.participant_id
        watched.streams[seat] = (*watched.streams.get(seat, ()), (call, feed))

    def discard(self, session_id: str, call: Call, feed: Feed) -> None:
        """Look after a stream no more."""
        watched, seat = self._watched[session_id], call.caller.participant_id
        left = tuple(stream for stream in watched.streams[seat] if stream[0] is not call)
        if left:
            watched.streams[seat] = left
        else:
            del watched.streams[seat]
        if not watched.streams:
            del self._watched[session_id]
            # Nobody counts from here on: who comes next must not be shown what was.
            feed.room.withdraw(COUNTS)

    def stamp_for(self, caller: Caller, session_id: str) -> Stamp | None:
        """Return what marks when the caller's stream is handed a question; None for who does not answer."""
        if caller.room_role is not RoomRole.PARTICIPANT:
            return None
        return partial(self._stamp, session_id, caller.participant_id)

    def _stamp(
        self, session_id: str, participant_id: str, first_seq: int, last_seq: int
    ) -> Callable[[datetime], bytes] | None:
        watched = self._watched.get(session_id)
        seq, round_id = watched.asked if watched else (0, "")
        if not first_seq <= seq <= last_seq:
            return None
        to = Addressee(session_id, participant_id, round_id)
        return lambda now: self._seal.seal(to, Delivery(now))

    async def _counts(self, session_id: str) -> SharedView | None:
        watched = self._watched.get(session_id)
        return watched.counts if watched else None

    def _on_run(self, session_id: str, events: Sequence[bytes]) -> None:
        watched = self._watched.get(session_id)
        if watched is None:
            return
        for payload in events:
            event = SessionEvent.FromString(payload)
            if event.WhichOneof("event") == "block_activated":
                watched.asked = event.seq, event.block_activated.block.round_id
            count = participant_count(event)
            if count is None:
                continue
            watched.counts = _view(event.seq, count)
            self._look_after_seat(session_id, watched, event)
        room = self._hub.room(session_id)
        if room is not None:
            room.touch(COUNTS)

    def _on_signal(self, session_id: str, payload: bytes) -> None:
        watched = self._watched.get(session_id)
        if watched is None or payload != REMOVED:
            return
        for call, _ in [stream for of_seat in watched.streams.values() for stream in of_seat]:
            call.end(MusterError(Reason.NOT_FOUND, detail="the session was deleted"))

    def _look_after_seat(self, session_id: str, watched: _Watched, event: SessionEvent) -> None:
        kind = event.WhichOneof("event")
        if kind not in _ABOUT_A_SEAT:
            return
        told = getattr(event, kind)
        seat_id = told.participant.participant_id if kind == "participant_updated" else told.participant_id
        if watched.streams.get(seat_id):
            work = self._settle(watched, session_id, seat_id)
            self._background.spawn(work, name="settle_seat")

    async def _settle(self, watched: _Watched, session_id: str, seat_id: str) -> None:
        """End the streams whose tickets do not count any more, and give the others one that is true."""
        found = await self._directory.find_with_seat(
            watched.organization_id, session_id, participant_id=seat_id
        )
        seat = found[1] if found else None
        for call, feed in watched.streams.get(seat_id, ()):
            if seat is None or not seat.is_present or call.caller.generation < seat.generation:
                call.end(MusterError(Reason.TICKET_REVOKED))
            else:
                feed.send_ticket(self._tickets.for_seat(seat, call.caller).SerializeToString())


class Watching:
    """A stream that is looked after; a class, as a generator that lasts as long would hold more."""

    __slots__ = ("_call", "_feed", "_session_id", "_watchers")

    def __init__(self, watchers: Watchers, session_id: str, call: Call, feed: Feed) -> None:
        self._watchers = watchers
        self._session_id = session_id
        self._call = call
        self._feed = feed

    def __enter__(self) -> None:
        """Begin."""
        self._watchers.add(self._session_id, self._call, self._feed)

    def __exit__(self, *_: object) -> None:
        """End."""
        self._watchers.discard(self._session_id, self._call, self._feed)


def _view(seq: int, count: int) -> SharedView:
    message = SessionView(version=seq, participant_count=count)
    return SharedView(seq, whole=message.SerializeToString)
