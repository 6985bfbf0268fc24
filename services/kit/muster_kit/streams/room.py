"""One room in one process: its log's tail, its views, its lossy messages, and the streams that read them."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeVar

import structlog

from muster_kit.streams.log import Log
from muster_kit.streams.lossy import Lossy, Merge
from muster_kit.streams.process import Process
from muster_kit.streams.publisher import Publication, Signal
from muster_kit.streams.tail import Tail
from muster_kit.streams.views import Coalesced, Compute, View, Views

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Stream(Protocol):
    """What a room and its hub know of a stream."""

    def wake(self) -> None:
        """Look for something to send, if the stream is waiting."""
        ...

    def drain(self) -> None:
        """Tell the client to come back somewhere else, and end."""
        ...


class Room:
    """A room that somebody watches here; the tail of one without a log, such as a board, is never opened."""

    def __init__(self, room_id: str, log: Log, process: Process) -> None:
        self.room_id = room_id
        self.watchers = 0
        self.warm = False
        """Whether there ever was a stream, and so something here that is worth keeping."""
        self.streams: set[Stream] = set()
        self.views = Views(process.clock)
        self.lossy = Lossy(process.clock)
        self.tail = Tail(room_id, log, process, on_run=self._tell_hooks, on_change=self.wake)
        self._process = process
        self._coalesced: dict[Hashable, Coalesced] = {}

    def enter(self, stream: Stream) -> None:
        """Add a stream."""
        if not self.streams:
            # Nothing is computed while nobody watches.
            for coalesced in self._coalesced.values():
                coalesced.touch()
        self.streams.add(stream)
        self.warm = True

    def leave(self, stream: Stream) -> None:
        """Remove a stream."""
        self.streams.discard(stream)

    def wake(self) -> None:
        """Let every waiting stream look for something to send."""
        for stream in self.streams:
            stream.wake()

    def receive(self, message: Publication | Signal) -> None:
        """Take a message of the room's channel."""
        if isinstance(message, Signal):
            self.receive_signal(message.payload)
        else:
            self.tail.receive(message)

    def receive_signal(self, payload: bytes) -> None:
        """Tell the hooks of a signal; an empty one says that something may have changed unseen."""
        for hook in self._process.signal_hooks:
            self._guard(hook, payload)

    def offer(self, key: Hashable, view: View) -> None:
        """Give every stream the newest version of a view; streams that come later get it whole."""
        if self.views.offer(key, view):
            self.wake()

    def withdraw(self, key: Hashable) -> None:
        """Forget a view and how it is computed; streams that have it are not told."""
        self.views.withdraw(key)
        coalesced = self._coalesced.pop(key, None)
        if coalesced is not None:
            coalesced.close()

    def compute(self, key: Hashable, compute: Compute, *, rate_per_second: float = 10) -> None:
        """Say how a view is computed, unless that was said before, and compute it for the first time.

        From then on `touch(key)` computes it anew and offers it, at most `rate_per_second` times a second.
        """
        if key not in self._coalesced:
            self._coalesced[key] = Coalesced(
                rate_per_second=rate_per_second,
                compute=compute,
                offer=lambda view: self.offer(key, view),
                background=self._process.background,
            )
            self.touch(key)

    def touch(self, key: Hashable) -> None:
        """Say that the value of a view may have changed; a key without a `compute` is nothing to do."""
        coalesced = self._coalesced.get(key)
        if coalesced is not None and self.streams:
            coalesced.touch()

    def toss(self, merge: Merge) -> None:
        """Give every stream a lossy message, merged with others that come within a moment."""
        if self.lossy.toss(merge):
            asyncio.get_running_loop().call_later(self._process.tuning.lossy_seconds, self._close_batch)

    def forget(self) -> None:
        """Drop the events kept here, after some were rewritten in the log, as when a person is erased."""
        self.tail.forget()

    async def close(self) -> None:
        """Stop whatever still works for the room."""
        # Without these they would hold the room, which holds them, until a garbage collection.
        coalesced_views, self._coalesced = self._coalesced, {}
        for coalesced in coalesced_views.values():
            coalesced.close()
        await self.tail.close()

    def _close_batch(self) -> None:
        self.lossy.close_batch(made=asyncio.get_running_loop().time())
        self.wake()

    def _tell_hooks(self, events: Sequence[bytes]) -> None:
        for hook in self._process.run_hooks:
            self._guard(hook, events)

    def _guard(self, hook: Callable[[str, T], None], what: T) -> None:
        try:
            hook(self.room_id, what)
        except Exception:  # noqa: BLE001 - logged here; hooks are not ours
            # A hook that fails must not keep the event from the streams.
            _log.exception("hook_failed", room_id=self.room_id)
