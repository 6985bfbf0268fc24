"""What a client saw of its watch streams, and whether a server that keeps its promises shows that."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from muster_kit.streams.cursor import Cursor


class Flaw(Enum):
    """A promise that was broken."""

    GAP = auto()
    """An event was left out."""
    DOUBLE = auto()
    """An event came again."""
    REORDERED = auto()
    """An event came after a later one."""
    FOREIGN = auto()
    """A cursor, without a reset before it, of another log."""
    CURSOR = auto()
    """A cursor that leads elsewhere than to the next event."""
    BOOKMARK = auto()
    """The stream was opened behind something else than the last cursor it gave."""
    BASELESS = auto()
    """Events without a snapshot to apply them to, or a snapshot that nobody announced."""
    VIEW = auto()
    """A view that cannot be applied: no whole one before it, or an older one than the last."""
    DISAGREEMENT = auto()
    """Two clients saw different things under one number, or one client got two answers to one request."""
    MISSING = auto()
    """An event of the log that the client should have seen by now."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One flaw: whose history, at which of its entries, and what exactly."""

    flaw: Flaw
    client: str
    place: int
    text: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The client watched behind a cursor; empty to start."""

    after: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame: events are by seq, as bytes; of a view, its version and whether it is whole.

    `reset_cause` is the number of a `muster.stream.v1.ResetCause`.
    """

    kind: str
    cursor: bytes = b""
    events: tuple[tuple[int, bytes], ...] = ()
    version: int = 0
    is_full: bool = False
    reset_cause: int = 0


@dataclass(slots=True)
class History:
    """What one client recorded of one watch, over all its streams, and of the calls that were answered."""

    client: str
    entries: list[Opened | Seen] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def open(self, after: bytes) -> None:
        """Note that a stream is opened."""
        self.entries.append(Opened(after))

    def see(self, frame: Any) -> None:
        """Note a frame of any watch stream."""
        kind = frame.WhichOneof("frame")
        events: tuple[tuple[int, bytes], ...] = ()
        version, is_full = 0, False
        if kind == "events":
            events = tuple(
                (event.seq, event.SerializeToString(deterministic=True)) for event in frame.events.events
            )
        elif kind == "view":
            version, is_full = frame.view.version, getattr(frame.view, "full", True)
        self.entries.append(Seen(kind, frame.cursor, events, version, is_full, frame.reset.cause))

    def answered(self, request_id: str, reply: bytes) -> None:
        """Note an answer; a second one to the same request has to be the same."""
        first = self.answers.setdefault(request_id, reply)
        if first != reply:
            self.faults.append(
                Fault(Flaw.DISAGREEMENT, self.client, len(self.entries), f"two answers to {request_id}")
            )

    @property
    def frames(self) -> Iterator[Seen]:
        """The frames, in the order they came."""
        return (entry for entry in self.entries if isinstance(entry, Seen))

    @property
    def bookmark(self) -> bytes:
        """The last cursor that was given: where to go on."""
        return next((entry.cursor for entry in reversed(self.entries) if _gives_cursor(entry)), b"")

    @property
    def bookmark_seq(self) -> int:
        """Up to which event it goes; 0 before the first cursor."""
        position = Cursor.decode(self.bookmark)
        return position.seq if position else 0

    @property
    def cursors(self) -> list[bytes]:
        """Every different cursor that was given."""
        return list(dict.fromkeys(frame.cursor for frame in self.frames if frame.cursor))

    def events(self) -> dict[int, bytes]:
        """Everything seen, by seq."""
        return {seq: content for frame in self.frames for seq, content in frame.events}

    def count(self, kind: str) -> int:
        """How many frames of a kind came."""
        return sum(frame.kind == kind for frame in self.frames)


def check_log(history: History, log: Mapping[int, bytes] | None = None) -> list[Fault]:
    """Return what is wrong with the history of a stream of events.

    Ordered, unique, without gaps, resumable, bookmarkable; and with `log` (seq → event, all there are)
    also the same as the log, up to its end.
    """
    reader = _Reader(history.client)
    for place, entry in enumerate(history.entries):
        reader.read(place, entry)
    faults = [*history.faults, *reader.faults]
    if log is not None:
        faults += _compare(history, reader, log)
    return faults


def check_views(history: History) -> list[Fault]:
    """Return what is wrong with the history of a stream of views.

    The first view of each stream, and the one after a reset, is whole; versions only grow.
    """
    faults = list(history.faults)
    last_version: int | None = None
    for place, entry in enumerate(history.entries):
        if isinstance(entry, Opened) or entry.kind == "reset":
            last_version = None
        elif entry.kind == "view":
            if last_version is None and not entry.is_full:
                faults.append(Fault(Flaw.VIEW, history.client, place, "a part of a view, with no whole"))
            if last_version is not None and entry.version <= last_version:
                text = f"version {entry.version} after {last_version}"
                faults.append(Fault(Flaw.VIEW, history.client, place, text))
            last_version = entry.version
    return faults


def check_agreement(histories: Iterable[History]) -> list[Fault]:
    """Return where clients saw different events under one seq."""
    known: dict[int, tuple[str, bytes]] = {}
    faults = []
    for history in histories:
        for seq, content in history.events().items():
            whose, first = known.setdefault(seq, (history.client, content))
            if first != content:
                faults.append(Fault(Flaw.DISAGREEMENT, history.client, 0, f"event {seq} differs for {whose}"))
    return faults


class _Reader:
    """Follows a history as a client would that trusts nothing: `position` is None without a snapshot."""

    def __init__(self, client: str) -> None:
        self.faults: list[Fault] = []
        self.position: Cursor | None = None
        self.bases: list[int] = []
        self._client = client
        self._bookmark = b""
        self._place = 0
        self._seen: set[int] = set()

    def read(self, place: int, entry: Opened | Seen) -> None:
        self._place = place
        if isinstance(entry, Opened):
            self._open(entry)
            return
        handle: Callable[[Seen], None] = {
            "events": self._events,
            "snapshot": self._snapshot,
            "reset": self._reset,
        }.get(entry.kind, self._other)
        handle(entry)
        self._bookmark = entry.cursor or self._bookmark

    def _open(self, entry: Opened) -> None:
        if entry.after != self._bookmark:
            self._fault(Flaw.BOOKMARK, "opened elsewhere than behind the last cursor")
        self.position = Cursor.decode(entry.after)

    def _reset(self, _: Seen) -> None:
        self.position = None

    def _snapshot(self, frame: Seen) -> None:
        if self.position is not None:
            self._fault(Flaw.BASELESS, "a snapshot without a reset before it")
        self.position = Cursor.decode(frame.cursor)
        if self.position is None:
            self._fault(Flaw.CURSOR, "a snapshot without a cursor")
            return
        self.bases.append(self.position.seq)
        self._seen.clear()

    def _events(self, frame: Seen) -> None:
        if self.position is None:
            self._fault(Flaw.BASELESS, "events with no snapshot before them")
            return
        expected = self.position.seq + 1
        for seq, _ in frame.events:
            if seq in self._seen or seq <= self.bases_end:
                self._fault(Flaw.DOUBLE, f"event {seq} again")
            elif seq < expected:
                self._fault(Flaw.REORDERED, f"event {seq} after {expected - 1}")
            elif seq > expected:
                self._fault(Flaw.GAP, f"event {seq} after {expected - 1}")
            self._seen.add(seq)
            expected = max(expected, seq + 1)
        self.position = Cursor(self.position.epoch, expected - 1)
        self._check_cursor(frame)

    def _other(self, frame: Seen) -> None:
        if frame.cursor:
            self._check_cursor(frame)

    def _check_cursor(self, frame: Seen) -> None:
        """A heartbeat with it promises that nothing was missed; whoever comes back with it goes on there."""
        given = Cursor.decode(frame.cursor)
        if given is None or self.position is None:
            self._fault(Flaw.CURSOR, f"a {frame.kind} frame whose cursor leads nowhere")
        elif given.epoch != self.position.epoch:
            self._fault(Flaw.FOREIGN, f"a {frame.kind} frame with the cursor of another log")
        elif given.seq != self.position.seq:
            self._fault(Flaw.CURSOR, f"a {frame.kind} frame at {self.position.seq} says {given.seq}")

    @property
    def bases_end(self) -> int:
        """Up to which event the last snapshot goes."""
        return self.bases[-1] if self.bases else 0

    def _fault(self, flaw: Flaw, text: str) -> None:
        self.faults.append(Fault(flaw, self._client, self._place, text))


def _compare(history: History, reader: _Reader, log: Mapping[int, bytes]) -> Sequence[Fault]:
    seen, end = history.events(), len(history.entries)
    # What lies before the last snapshot may be in that snapshot alone.
    base = reader.bases_end
    faults = [
        Fault(Flaw.MISSING, history.client, end, f"event {seq} was never seen")
        for seq in log
        if seq > base and seq not in seen
    ]
    faults += [
        Fault(Flaw.DISAGREEMENT, history.client, end, f"event {seq} is not as the log has it")
        for seq, content in seen.items()
        if log.get(seq) != content
    ]
    return faults


def _gives_cursor(entry: Opened | Seen) -> bool:
    return isinstance(entry, Seen) and bool(entry.cursor)
