"""The end of one room's log as this process holds it: kept complete from publications and from the log."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import structlog

from muster_kit.errors import MusterError, Reason
from muster_kit.streams.background import Singleflight
from muster_kit.streams.log import Head, Log, StoredEvent
from muster_kit.streams.process import Process
from muster_kit.streams.publisher import Publication
from muster_kit.streams.replay import Replay
from muster_kit.streams.run import Press, Run
from muster_kit.streams.shelf import Shelf
from muster_kit.streams.snapshots import Snapshot, Snapshots, TakeSnapshot
from muster_kit.streams.timeline import MAX_EARLY, Timeline

_log = structlog.get_logger(__name__)


class Tail:
    """What streams of one room read from: a ring of the newest runs, and the log behind it.

    `epoch` and `head` say up to where the ring is complete. Publications may come in any order or
    not at all; what is missing is read from the log, by one task, once a short grace has passed.
    When the log was replaced, `epoch` changes and everything starts over.
    """

    def __init__(
        self,
        room_id: str,
        log: Log,
        process: Process,
        *,
        on_run: Callable[[Sequence[bytes]], None],
        on_change: Callable[[], None],
    ) -> None:
        """`on_run` is told all events in order, once; `on_change` that streams have something to read."""
        tuning = process.tuning
        self.epoch = 0
        self.head = 0
        self.first_seq = 1
        self.ring = Shelf(max_events=tuning.ring_events, max_bytes=tuning.ring_bytes)
        self._room_id = room_id
        self._organization_id: str | None = None
        self._log = log
        self._process = process
        self._on_run = on_run
        self._on_change = on_change
        self._press = Press(0, tuning.frame_bytes)
        self._timeline = Timeline(0)
        self._early: list[Publication] = []
        self._filling: asyncio.Task[None] | None = None
        self._flights = Singleflight()
        self._snapshots = Snapshots(process.clock, tuning)
        self._replay = Replay(max_events=tuning.replay_events, max_bytes=tuning.ring_bytes)

    @property
    def opened(self) -> bool:
        """True once it is known where the log stands; a room without a log is never opened."""
        return self._organization_id is not None

    @property
    def known(self) -> int:
        """The last event that is known to exist; `head` gets there soon."""
        return self._timeline.known

    async def open(self, organization_id: str) -> None:
        """Learn where the log stands, once. NOT_FOUND when the organization has no such room.

        Whoever asks first does not decide for the others whose room it is: the log does.
        """
        if self._organization_id is None:
            head = await self._fetch_head(organization_id)
            if head is not None and self._organization_id is None:
                self._organization_id = organization_id
                self._start(head)
        if self._organization_id != organization_id:
            raise MusterError(Reason.NOT_FOUND, detail=f"room {self._room_id}")

    def receive(self, publication: Publication) -> None:
        """Take a publication; the streams can read what it completes when this returns."""
        if self._organization_id is None:
            self._early = [*self._early[1 - MAX_EARLY :], publication]
        elif publication.epoch == self.epoch:
            self._advance(publication.first_seq, publication.events)
            self._fill(self._process.tuning.gap_grace_seconds)
        else:
            # Of a log that was replaced, or of the one that replaces ours; only the store knows.
            self._process.on_doubt()

    def check(self, head: Head) -> None:
        """Compare with where the log stands."""
        if self._organization_id is None:
            return
        if head.epoch != self.epoch:
            self._start(head)
            return
        self.first_seq = head.first_seq
        self._timeline.expect(head.seq)
        self._fill(0)

    async def refresh(self) -> None:
        """Ask the log now where it stands."""
        head = await self._fetch_head(self._organization_id or "")
        if head is not None:
            self.check(head)

    def forget(self) -> None:
        """Drop what is kept here of the room; the log is read again. For events that were rewritten there."""
        self.ring.clear()
        self._replay.clear()
        self._snapshots.clear()

    async def find(self, seq: int) -> Run | None:
        """Return the run that holds event `seq`, read from the log, or None when it is not kept."""
        return await self._replay.find(seq, read=self._read_runs, end=self._oldest_at_hand)

    async def snapshot(self, key: Hashable, take: TakeSnapshot, *, newest: bool) -> Snapshot:
        """Return a snapshot frame, shared by all who come with `key` within a moment.

        With `newest`, only while the room does not change.
        """
        return await self._snapshots.get(
            key, take, epoch=self.epoch, head=self.head, oldest_at_hand=self._oldest_at_hand(), newest=newest
        )

    async def close(self) -> None:
        """Stop what is being read."""
        filling, self._filling = self._filling, None
        if filling is not None:
            filling.cancel()
        await self._flights.close()
        await self._snapshots.close()
        await self._replay.close()
        # Its room holds it.
        self._on_run, self._on_change = _unheard, _unheard

    def _oldest_at_hand(self) -> int:
        return self.ring.oldest_seq or self.head + 1

    async def _fetch_head(self, organization_id: str) -> Head | None:
        return await self._flights.run(
            organization_id, lambda: self._log.head(organization_id, self._room_id)
        )

    def _start(self, head: Head) -> None:
        self.epoch, self.first_seq = head.epoch, head.first_seq
        self._press = Press(head.epoch, self._process.tuning.frame_bytes)
        self.forget()
        self._go_on_after(head.seq)
        early, self._early = self._early, []
        for publication in early:
            self.receive(publication)

    def _go_on_after(self, seq: int) -> None:
        self.head = seq
        self.ring.clear()
        self._timeline.restart(seq)
        self._on_change()

    def _advance(self, first_seq: int, events: Sequence[bytes]) -> None:
        ready = self._timeline.offer(first_seq, events)
        if not ready:
            return
        for run in self._runs(self.head + 1, ready):
            self.ring.add(run)
        self.head = self._timeline.head
        self._on_run(ready)
        self._on_change()

    def _runs(self, first_seq: int, events: Sequence[bytes]) -> list[Run]:
        made = asyncio.get_running_loop().time()
        return self._press.runs(first_seq, events, now=self._process.clock.now(), made=made)

    def _fill(self, grace_seconds: float) -> None:
        if self._timeline.behind and (self._filling is None or self._filling.done()):
            work = self._fill_gap(self.epoch, grace_seconds)
            self._filling = self._process.background.spawn(work, name="fill_gap")

    async def _fill_gap(self, epoch: int, grace_seconds: float) -> None:
        await asyncio.sleep(grace_seconds)
        try:
            while self._timeline.behind and self.epoch == epoch:
                await self._fill_some()
        except MusterError as error:
            # The next check of the head asks for it again.
            _log.warning("gap_not_filled", room_id=self._room_id, after_seq=self.head, reason=error.reason)

    async def _fill_some(self) -> None:
        before = self.epoch, self.head
        stored = await self._read(self.head, self._process.tuning.replay_events)
        if self.epoch != before[0]:
            return
        if stored and stored[0].seq == before[1] + 1:
            self._advance(stored[0].seq, [event.payload for event in stored])
        elif self.head == before[1]:
            await self._skip_gap(stored[0].seq if stored else None)

    async def _skip_gap(self, next_seq: int | None) -> None:
        """Go on with `next_seq`: the log does not keep what lies before it. None: nor anything after it."""
        before = self.epoch, self.head
        log_head = await self._fetch_head(self._organization_id or "")
        if (self.epoch, self.head) != before:
            return
        if log_head is not None and log_head.epoch != self.epoch:
            self._start(log_head)
            return
        _log.warning("events_not_kept", room_id=self._room_id, after_seq=self.head, next_seq=next_seq)
        reached = log_head.seq if log_head is not None else self.head
        self._go_on_after(max(self.head, reached) if next_seq is None else next_seq - 1)
        self._timeline.expect(reached)

    async def _read(self, after_seq: int, limit: int) -> Sequence[StoredEvent]:
        return await self._log.read(
            self._organization_id or "", self._room_id, epoch=self.epoch, after_seq=after_seq, limit=limit
        )

    async def _read_runs(self, after_seq: int, limit: int) -> Sequence[Run]:
        press = self._press
        stored = await self._read(after_seq, limit)
        made, now = asyncio.get_running_loop().time(), self._process.clock.now()
        payloads = [event.payload for event in stored]
        runs = press.runs(stored[0].seq, payloads, now=now, made=made) if stored else ()
        return [replace(run, is_live=False) for run in runs]


def _unheard(*_: object) -> None:
    """What a tail tells once its room is closed."""
