"""The calls being served: told when the process drains, and ended when they must not go on."""

import asyncio
import time
from datetime import timedelta
from typing import Final, Literal, TypeAlias

import structlog

from muster_kit.caller import Caller, CallerKind
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.call import Call
from muster_kit.rpc.options import Limits

_CROWDED_OUT: Final = timedelta(seconds=10)

_Holder: TypeAlias = tuple[Literal["seat", "user"], str, str]

_log = structlog.get_logger(__name__)


class OpenCalls:
    """Every running call of a server, and the streams of each seat and user, the oldest first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._unary: set[Call] = set()
        self._streams: set[Call] = set()
        # Of a few each: as tuples, the least that thousands can be kept in.
        self._held: dict[_Holder, tuple[Call, ...]] = {}
        self._empty = asyncio.Event()
        self.draining = False

    def add_unary(self, call: Call) -> None:
        """Note a call that has been let in."""
        self._unary.add(call)

    def discard_unary(self, call: Call) -> None:
        """Forget a call; it is no longer ended from outside."""
        call.closed = True
        self._unary.discard(call)
        if self.draining:
            self._note_empty()

    def add_stream(self, call: Call) -> None:
        """Note a stream that has been let in; its seat may lose it.

        A holder of too many loses the oldest: what a client has forgotten must not keep it out.
        """
        self._streams.add(call)
        holder = _holder(call.caller)
        if holder is None:
            return
        held = (*self._held.get(holder, ()), call)
        oldest, rest = held[0], held[1:]
        is_crowded = len(held) > self._allowed(holder)
        self._held[holder] = rest if is_crowded else held
        if is_crowded:
            oldest.end(MusterError(Reason.RATE_LIMITED, retry_after=_CROWDED_OUT, detail="too many streams"))

    def discard_stream(self, call: Call) -> None:
        """Forget a stream; it is no longer ended from outside."""
        call.closed = True
        self._streams.discard(call)
        holder = _holder(call.caller)
        if holder is not None and (held := self._held.get(holder)) is not None:
            left = tuple(other for other in held if other is not call)
            if left:
                self._held[holder] = left
            else:
                del self._held[holder]
        if self.draining:
            self._note_empty()

    def end_seat(self, room_id: str, participant_id: str, minimum_generation: int) -> None:
        """End the seat's streams that were opened with an older ticket than still counts."""
        for call in self._held.get(("seat", room_id, participant_id), ()):
            if call.caller.generation < minimum_generation:
                call.end(MusterError(Reason.TICKET_REVOKED))

    def start_draining(self) -> None:
        """Let no new calls in, and tell the streams to end."""
        self.draining = True
        for call in tuple(self._streams):
            call.tell_draining()
        self._note_empty()

    async def emptied(self) -> None:
        """Wait until the last call has ended, once draining."""
        await self._empty.wait()

    def end_all(self, reason: Reason) -> None:
        """End whatever is still running."""
        for call in (*self._streams, *self._unary):
            call.end(MusterError(reason))

    async def sweep(self) -> None:
        """End calls that take too long, until cancelled.

        One pass over all of them every second, in place of a timer for every call and every write.
        """
        while True:
            await asyncio.sleep(self._limits.sweep_seconds)
            now = time.monotonic()
            for call in tuple(self._unary):
                if now - call.start_time > self._limits.unary_seconds:
                    call.end(MusterError(Reason.DEADLINE_EXCEEDED, detail="took too long"))
            for call in tuple(self._streams):
                if now - call.write_start_time > self._limits.write_seconds:
                    call.end(MusterError(Reason.UNAVAILABLE, detail="client does not read"))

    def _allowed(self, holder: _Holder) -> int:
        return self._limits.streams_of_seat if holder[0] == "seat" else self._limits.streams_of_user

    def _note_empty(self) -> None:
        if not self._unary and not self._streams:
            self._empty.set()


def _holder(caller: Caller) -> _Holder | None:
    if caller.participant_id:
        return "seat", caller.room_id, caller.participant_id
    # A ticket without a seat, as a host's may be, counts for its user; other services are trusted.
    if caller.is_ticket or caller.kind is CallerKind.USER:
        return "user", caller.organization_id, caller.subject
    return None
