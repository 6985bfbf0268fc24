"""Watching boards and rounds: what is watched in this process, and how it learns of changes."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import structlog
from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.streams.hub import Hub
from muster_kit.streams.room import Room
from muster_kit.streams.watch import Renewal

from muster_scoring.board_keeper import BoardKeeper
from muster_scoring.board_mirror import BoardMirror
from muster_scoring.model_board import REMOVED, BoardChanges
from muster_scoring.rounds_monitor import RoundsMonitor
from muster_scoring.store import ResultStore
from muster_scoring.usecases_access import Doors
from muster_scoring.usecases_boards import BoardDoors
from muster_scoring.views_board import BoardViewer
from muster_scoring.views_rounds import RoundsViewer
from muster_scoring.watched_session import WatchedSession, Write

_log = structlog.get_logger(__name__)

_BOARDS_A_SECOND: Final = 10
_COUNTS_A_SECOND: Final = 4

_CHECK_SECONDS: Final = 2.0
_GRACE_SECONDS: Final = 0.2
"""A publication may take so long; what has not come then was lost."""

_TOP: Final = 10

_BOARD: Final = "board"
_ROUNDS: Final = "rounds"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a stream is wanted: 0 frames are no limit."""

    max_frames: int
    replay_only: bool


class Watches:
    """Boards and rounds of sessions as streams of views.

    A change is published with what it left of the board, and heard by every process in which the
    session is watched. Whatever is missed is found by comparing with the session's last change in the
    store: one query for all sessions, every two seconds, and at once when publications may be missing.
    When the index had lost a board, which its epoch tells, the board's streams begin anew.
    """

    def __init__(
        self,
        hub: Hub,
        keeper: BoardKeeper,
        results: ResultStore,
        doors: Doors,
        board_doors: BoardDoors,
        clock: Clock,
    ) -> None:
        """`keeper` is that of sessions."""
        self._hub = hub
        self._keeper = keeper
        self._results = results
        self._doors = doors
        self._board_doors = board_doors
        self._clock = clock
        # By the room itself: one that is opened again later is another one, which knows nothing.
        self._watched: WeakKeyDictionary[Room, WatchedSession] = WeakKeyDictionary()
        self._check_wanted = asyncio.Event()
        hub.on_signal(self._hear)

    async def board(
        self, caller: Caller, board_id: str, *, top: int, radius: int, extent: Extent, write: Write
    ) -> None:
        """Stream a board until the stream ends. Raises NOT_FOUND, PERMISSION_DENIED."""
        sight = await self._board_doors.enter(caller, board_id)
        keeper, organization_id = sight.keeper, sight.organization_id
        viewer = BoardViewer(sight.entry_id, top or _TOP, radius)
        # Whatever keepers there are, their boards have different ids.
        async with self._hub.open_views(
            board_id,
            viewer=viewer,
            max_frames=extent.max_frames,
            replay_only=extent.replay_only,
            renewal=Renewal.never(caller.expire_time, self._clock.now()),
        ) as feed:
            watched = self._watched.setdefault(feed.room, WatchedSession(keeper, organization_id))
            if watched.mirror is None:
                watched.mirror = BoardMirror(lambda since: keeper.parts(organization_id, board_id, since))
                watched.learn(await keeper.epoch(organization_id, board_id), _BOARD)
            with watched.watcher(_BOARD):
                await watched.begin(
                    feed.room, _BOARD, watched.mirror.compute, rate_per_second=_BOARDS_A_SECOND
                )
                await watched.serve(feed, _BOARD, write)

    async def rounds(self, caller: Caller, session_id: str, *, extent: Extent, write: Write) -> None:
        """Stream the counts of a session's rounds. Raises NOT_FOUND, PERMISSION_DENIED."""
        access = await self._doors.enter(caller, session_id)
        async with self._hub.open_views(
            session_id,
            viewer=RoundsViewer(access.is_staff),
            max_frames=extent.max_frames,
            replay_only=extent.replay_only,
            renewal=Renewal.never(caller.expire_time, self._clock.now()),
        ) as feed:
            watched = self._watched.setdefault(
                feed.room, WatchedSession(self._keeper, access.organization_id)
            )
            if watched.monitor is None:
                watched.monitor = RoundsMonitor(self._results, access.organization_id, session_id)
            monitor = watched.monitor
            with watched.watcher(_ROUNDS), monitor.staff() if access.is_staff else nullcontext():
                await watched.begin(feed.room, _ROUNDS, monitor.compute, rate_per_second=_COUNTS_A_SECOND)
                if access.is_staff:
                    await monitor.show_answers()
                await watched.serve(feed, _ROUNDS, write)

    async def keep_checking(self) -> None:
        """Look for changes that nobody told of, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._check_wanted.wait()
            self._check_wanted.clear()
            try:
                await self._check()
            except Exception as error:  # noqa: BLE001 - no fault may end what everything relies on
                _log.warning("sessions_not_checked", error=repr(error))
            await asyncio.sleep(_GRACE_SECONDS)

    def _hear(self, session_id: str, payload: bytes) -> None:
        room = self._hub.room(session_id)
        watched = self._watched.get(room) if room is not None else None
        if room is None or watched is None:
            return
        if not payload:
            self._check_wanted.set()
            return
        if payload == REMOVED:
            self._end(room)
            return
        changes = BoardChanges.decode(session_id, payload)
        if watched.mirror is not None:
            watched.mirror.apply(changes)
        watched.seq = max(watched.seq, changes.last_seq)
        watched.touch(room, _BOARD)
        watched.touch(room, _ROUNDS)

    async def _check(self) -> None:
        known_seqs = {room: watched.known_seq for room, watched in self._watched.items()}
        if not known_seqs:
            return
        heads = await self._heads()
        for room, known_seq in known_seqs.items():
            if heads.get(room.room_id, 0) < known_seq:
                self._end(room)
        rooms = list(self._watched.items())
        for room, watched in rooms:
            seq = heads.get(room.room_id, 0)
            if watched.seq < seq:
                watched.seq = seq
                watched.touch(room, _ROUNDS)
        await self._check_epochs(heads)
        if not any(watched.is_behind(heads.get(room.room_id, 0)) for room, watched in rooms):
            return
        await asyncio.sleep(_GRACE_SECONDS)
        for room, watched in rooms:
            seq = heads.get(room.room_id, 0)
            if watched.mirror is not None and watched.is_behind(seq):
                watched.mirror.expect(seq)
                watched.touch(room, _BOARD)

    async def _heads(self) -> Mapping[str, int]:
        heads: dict[str, int] = {}
        for keeper, rooms in self._by_keeper().items():
            heads |= await keeper.source.heads([room.room_id for room, _ in rooms])
        return heads

    async def _check_epochs(self, heads: Mapping[str, int]) -> None:
        """See whether the index still has the boards that are watched; of a quiet one nobody else would."""
        for keeper, rooms in self._by_keeper().items():
            boards = {room.room_id: watched for room, watched in rooms if watched.mirror is not None}
            epochs = await keeper.epochs(
                {id_: (watched.organization_id, heads.get(id_, 0)) for id_, watched in boards.items()}
            )
            for board_id, watched in boards.items():
                watched.learn(epochs.get(board_id, b""), _BOARD)

    def _by_keeper(self) -> Mapping[BoardKeeper, Sequence[tuple[Room, WatchedSession]]]:
        rooms: defaultdict[BoardKeeper, list[tuple[Room, WatchedSession]]] = defaultdict(list)
        for room, watched in self._watched.items():
            rooms[watched.keeper].append((room, watched))
        return rooms

    def _end(self, room: Room) -> None:
        """Forget a session that was deleted: one of the same id is another one, which begins anew."""
        for key in (_BOARD, _ROUNDS):
            room.withdraw(key)
        if (watched := self._watched.pop(room, None)) is not None:
            watched.end()
