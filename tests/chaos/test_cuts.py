"""Watches are cut at any byte and behind every frame: who was cut ends up with what the others have."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
from muster.session.v1 import session_pb2, session_service_pb2
from muster_kit.rpc.channel import service_config

from tests.chaos.board_watch import BoardWatch
from tests.chaos.conftest import Scale
from tests.chaos.history import History, Opened, check_agreement, check_log, check_views
from tests.chaos.ledger import Ledger
from tests.chaos.links import CuttingLink
from tests.chaos.machine import Machine
from tests.chaos.people import OWN_CONNECTION, Person
from tests.chaos.quiz import Quiz, open_quiz
from tests.chaos.session_state import SessionState

SEED: Final = 31
BLOCKS: Final = 6
CHANGES: Final = 20
PATIENCE_SECONDS: Final = 30.0
# From within the first frame of HTTP/2 to behind some dozens of events.
LEAST_BYTES, MOST_BYTES = 4, 10_000
# The least that gRPC takes; it waits for it only where a connection broke before it was one.
BACKOFF: Final = [(f"grpc.{kind}_reconnect_backoff_ms", 100) for kind in ("initial", "max")]


class SessionWatch:
    """One person's watch of a session, folded."""

    def __init__(self, person: Person, session_id: str) -> None:
        self.history = History(person.name)
        self.state = SessionState()
        self._person = person
        self._session_id = session_id
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        """Keep it up to date until cancelled."""
        async for frame in self._person.watch(self._open, self.history):
            async with self._moved:
                self.state.apply(frame)
                self._moved.notify_all()

    async def until_seq(self, seq: int) -> None:
        """Wait until it is as far as this event."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._moved:
            await self._moved.wait_for(lambda: self.history.bookmark_seq >= seq)

    def _open(self, after: bytes) -> Any:
        request = session_service_pb2.WatchSessionRequest(session_id=self._session_id, after=after)
        return self._person.sessions.WatchSession(request, metadata=self._person.metadata)


class Abrupt(Person):
    """Someone whose link breaks behind every frame, for a while."""

    link: CuttingLink

    async def watch(self, open_stream: Callable[[bytes], Any], history: History) -> AsyncIterator[Any]:
        """Frames as for anyone, and a cut behind each."""
        async for frame in super().watch(open_stream, history):
            yield frame
            if not self.link.healed:
                self.link.cut()


class Cut:
    """A session and its board, watched over one bad link each."""

    def __init__(self, quiz: Quiz, address: str, name: str, *, rng: random.Random | None = None) -> None:
        """Cut where `rng` says; without one, behind every frame."""
        self._quiz = quiz
        self._name = name
        self._rng = rng
        self.links = [CuttingLink(address, self._bytes) for _ in range(2)]

    @property
    def cuts(self) -> int:
        """How often it was cut."""
        return sum(link.cuts for link in self.links)

    def heal(self) -> None:
        """Cut no more."""
        for link in self.links:
            link.heal()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch for as long as the block lasts."""
        async with self.links[0], self.links[1], asyncio.TaskGroup() as tasks:
            to_session, to_board = (self._person(link) for link in self.links)
            self.session = SessionWatch(to_session, self._quiz.session_id)
            self.board = BoardWatch(to_board, self._quiz.session_id)
            running = [tasks.create_task(watch.run()) for watch in (self.session, self.board)]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(to_session.close(), to_board.close())

    def _person(self, link: CuttingLink) -> Person:
        options = [("grpc.service_config", service_config()), OWN_CONNECTION, *BACKOFF]
        channel = grpc.aio.insecure_channel(link.address, options=options)
        if self._rng is not None:
            return Person(self._name, self._quiz.host.token, channel)
        abrupt = Abrupt(self._name, self._quiz.host.token, channel)
        abrupt.link = link
        return abrupt

    def _bytes(self) -> int | None:
        """Draw how long a connection lasts: any number of bytes, few as often as many."""
        return int(LEAST_BYTES * (MOST_BYTES / LEAST_BYTES) ** self._rng.random()) if self._rng else None


async def test_watches_cut_anywhere_end_up_with_what_uncut_ones_hold(
    machine: Machine, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    wanted = 100 * scale.rounds if scale.is_full else 30
    async with open_quiz(machine.running, players=12, think_seconds=1.2, seed=SEED) as quiz:
        uncut = SessionWatch(quiz.host, quiz.session_id)
        behind_frames = Cut(quiz, machine.address, "cut behind every frame")
        anywhere = [
            Cut(quiz, machine.address, f"cut anywhere {number}", rng=random.Random(SEED + number))
            for number in range(3)
        ]
        cut = [behind_frames, *anywhere]
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(uncut.run())
            async with cut[0].watching(), cut[1].watching(), cut[2].watching(), cut[3].watching():
                # Until everybody did go on from somewhere, and not begin anew each time.
                while sum(each.cuts for each in anywhere) < wanted or not all(map(_has_gone_on, cut)):
                    await _stir(quiz)
                for each in cut:
                    each.heal()
                await check(machine, quiz, uncut, cut)
            watching.cancel()
        figure("cuts behind every frame", behind_frames.cuts)
        figure("cuts at random bytes", sum(each.cuts for each in anywhere))
        figure("events, of which none was missed or came twice", uncut.history.bookmark_seq)


async def _stir(quiz: Quiz) -> None:
    """Let everything happen that an event can tell of, but for the end."""
    host, seat = quiz.host, quiz.players[0].participant_id
    await asyncio.gather(
        quiz.play(BLOCKS, seconds=2),
        *(
            host.call(
                host.sessions.UpdateParticipant,
                session_service_pb2.UpdateParticipantRequest(
                    session_id=quiz.session_id, participant_id=seat, display_name=uuid.uuid4().hex
                ),
            )
            for _ in range(CHANGES)
        ),
        *(
            host.call(
                host.sessions.UpdateSession,
                session_service_pb2.UpdateSessionRequest(
                    session_id=quiz.session_id,
                    settings=session_pb2.SessionSettings(
                        title=uuid.uuid4().hex,
                        visibility=session_pb2.SESSION_VISIBILITY_PUBLIC,
                        parallel_blocks_allowed=True,
                    ),
                ),
            )
            for _ in range(CHANGES)
        ),
    )


async def check(machine: Machine, quiz: Quiz, uncut: SessionWatch, cut: list[Cut]) -> None:
    """Assert that everybody holds the same, and came by it rightly."""
    ledger = Ledger(machine, quiz.session_id)
    log, ranking = await ledger.log(), await ledger.ranking()
    watches = [uncut, *(each.session for each in cut)]
    histories = [watch.history for watch in watches]
    await asyncio.gather(
        *(watch.until_seq(len(log)) for watch in watches), *(each.board.until_shown(ranking) for each in cut)
    )
    assert [fault for history in histories for fault in check_log(history, log)] == []
    assert check_agreement(histories) == []
    assert [fault for each in cut for fault in check_views(each.board.history)] == []
    newcomer = await _newcomer(quiz)
    for watch in watches:
        assert watch.state == newcomer, watch.history.client
    assert all(each.board.rows == quiz.board.rows for each in cut)


def _has_gone_on(cut: Cut) -> bool:
    return any(isinstance(entry, Opened) and entry.after for entry in cut.session.history.entries)


async def _newcomer(quiz: Quiz) -> SessionState:
    """What somebody holds who comes now."""
    state = SessionState()
    request = session_service_pb2.WatchSessionRequest(session_id=quiz.session_id, replay_only=True)
    async for frame in quiz.host.sessions.WatchSession(request, metadata=quiz.host.metadata):
        state.apply(frame)
    return state
