"""The host of the demo: writes the quiz, runs it question by question, reads the results."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
from muster.scoring.v1 import answer_pb2, board_service_pb2, round_pb2, round_service_pb2, rules_pb2
from muster.session.v1 import block_pb2, block_service_pb2, session_pb2, session_service_pb2
from muster_kit.ids import new_id
from muster_session.question_files import QuestionFormat, guess_format

from muster_stack.demo.client import Client, Metadata, bearer, follow

_FORMATS: Final = {
    QuestionFormat.GIFT: block_service_pb2.QUESTION_FORMAT_GIFT,
    QuestionFormat.AIKEN: block_service_pb2.QUESTION_FORMAT_AIKEN,
    QuestionFormat.CSV: block_service_pb2.QUESTION_FORMAT_CSV,
}
_TOP: Final = 10


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """A question file in memory; `format` is a QuestionFormat of the contract."""

    name: str
    format: block_service_pb2.QuestionFormat
    content: bytes

    @classmethod
    def read(cls, path: Path) -> "QuestionFile":
        """Read `path`; its name, else its text, tells the format. Raises OSError."""
        content = path.read_bytes()
        guessed = guess_format(path.name, content.decode(errors="replace"))
        return cls(path.stem, _FORMATS[guessed], content)


@dataclass(slots=True)
class Stage:
    """What is to be seen now; the host's streams write it, the screen reads it."""

    title: str = ""
    join_code: str = ""
    participant_count: int = 0
    question: block_pb2.Block | None = None
    question_number: int = 0
    question_count: int = 0
    response_count: int = 0
    answer_key: answer_pb2.AnswerKey | None = None
    stats: Any = None
    board: list[Any] = field(default_factory=list)
    last_ranks: dict[str, int] = field(default_factory=dict)
    ended: bool = False

    @property
    def revealed(self) -> bool:
        """Whether the question is closed and its counts are final."""
        settled = self.stats is not None and self.stats.status == round_pb2.ROUND_STATUS_CLOSED
        return self.answer_key is not None and settled


class Host:
    """Runs one quiz over its own connection; `changed` is called whenever the stage changed."""

    def __init__(self, address: str, token: str, changed: Callable[[Stage], None]) -> None:
        self._client = Client.open(address)
        self._metadata: Metadata = bearer(token)
        self._changed = changed
        self._moved = asyncio.Condition()
        self._session_id = ""
        self._block_ids: list[str] = []
        self.stage = Stage()
        self.knowledge: dict[str, answer_pb2.AnswerKey] = {}

    async def prepare(
        self, questions: QuestionFile, *, title: str, blocks: int, time_limit: timedelta, players: int
    ) -> str:
        """Make the session, import `blocks` questions (0: all), open the lobby; gives the join code."""
        settings = session_pb2.SessionSettings(
            title=title,
            visibility=session_pb2.SESSION_VISIBILITY_PUBLIC,
            late_join_allowed=True,
            max_participants=max(players, 1),
            rules=rules_pb2.ScoringRules(
                base_points=1000, speed_bonus=500, streak_step=100, streak_maximum=500
            ),
        )
        settings.default_time_limit.FromTimedelta(time_limit)
        created = await self._client.sessions.CreateSession(
            session_service_pb2.CreateSessionRequest(request_id=new_id(), settings=settings),
            metadata=self._metadata,
        )
        self._session_id = created.session.session_id
        imported = await self._client.blocks.ImportBlocks(
            block_service_pb2.ImportBlocksRequest(
                request_id=new_id(),
                session_id=self._session_id,
                format=questions.format,
                content=questions.content,
                max_blocks=blocks,
            ),
            metadata=self._metadata,
        )
        self._block_ids = list(imported.block_ids)
        await self._learn()
        opened = await self._client.sessions.OpenLobby(
            session_service_pb2.OpenLobbyRequest(request_id=new_id(), session_id=self._session_id),
            metadata=self._metadata,
        )
        ticket = await self._client.sessions.JoinSession(
            session_service_pb2.JoinSessionRequest(request_id=new_id(), session_id=self._session_id),
            metadata=self._metadata,
        )
        self._metadata = bearer(ticket.ticket.token)
        stage = self.stage
        stage.title, stage.join_code = title, opened.session.join_code
        stage.question_count = len(self._block_ids)
        return stage.join_code

    async def _learn(self) -> None:
        page = ""
        while True:
            listed = await self._client.blocks.ListBlocks(
                block_service_pb2.ListBlocksRequest(
                    session_id=self._session_id, page_size=200, page_token=page
                ),
                metadata=self._metadata,
            )
            self.knowledge.update({block.block_id: block.answer_key for block in listed.blocks})
            page = listed.next_page_token
            if not page:
                return

    async def watch(self) -> None:
        """Keep the stage up to date until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_session())
            tasks.create_task(self._watch_rounds())
            tasks.create_task(self._watch_board())

    async def run(self, *, players: int, reveal_seconds: float) -> None:
        """Wait for the players, then ask every question and end the session."""
        await self._until(lambda stage: stage.participant_count >= players)
        await self._verb("StartSession")
        for block_id in self._block_ids:
            self.stage.last_ranks = {entry.entry_id: entry.rank for entry in self.stage.board}
            await self._client.blocks.ActivateBlock(
                block_service_pb2.ActivateBlockRequest(
                    request_id=new_id(), session_id=self._session_id, block_id=block_id
                ),
                metadata=self._metadata,
            )
            await self._until(partial(_is_answered, block_id=block_id, players=players))
            if self.stage.answer_key is None:
                await self._close(block_id)
            await self._until(lambda stage: stage.revealed)
            await asyncio.sleep(reveal_seconds)
        await self._verb("EndSession")
        await self._until(lambda stage: stage.ended)

    async def results(self) -> tuple[Any, list[Any]]:
        """Analytics of the session, and the top of the board."""
        analytics = await self._client.rounds.GetAnalytics(
            round_service_pb2.GetAnalyticsRequest(session_id=self._session_id, page_size=200),
            metadata=self._metadata,
        )
        board = await self._client.boards.ListEntries(
            board_service_pb2.ListEntriesRequest(board_id=self._session_id, page_size=_TOP),
            metadata=self._metadata,
        )
        return analytics, list(board.entries)

    async def close(self) -> None:
        """End the connection."""
        await self._client.close()

    async def _close(self, block_id: str) -> None:
        try:
            await self._client.blocks.CloseBlock(
                block_service_pb2.CloseBlockRequest(
                    request_id=new_id(), session_id=self._session_id, block_id=block_id
                ),
                metadata=self._metadata,
            )
        except grpc.aio.AioRpcError as error:
            # The clock may have closed it a moment before.
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise

    async def _verb(self, verb: str) -> None:
        request = getattr(session_service_pb2, f"{verb}Request")
        await getattr(self._client.sessions, verb)(
            request(request_id=new_id(), session_id=self._session_id), metadata=self._metadata
        )

    async def _until(self, condition: Callable[[Stage], bool]) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: condition(self.stage))

    async def _show(self) -> None:
        self._changed(self.stage)
        async with self._moved:
            self._moved.notify_all()

    async def _watch_session(self) -> None:
        frames = follow(
            lambda after: self._client.sessions.WatchSession(
                session_service_pb2.WatchSessionRequest(session_id=self._session_id, after=after),
                metadata=self._metadata,
            )
        )
        async for frame in frames:
            match frame.WhichOneof("frame"):
                case "ticket":
                    self._metadata = bearer(frame.ticket.token)
                case "snapshot":
                    self.stage.participant_count = frame.snapshot.session.participant_count
                case "view":
                    self.stage.participant_count = frame.view.participant_count
                case "events":
                    for event in frame.events.events:
                        self._apply(event)
            await self._show()

    def _apply(self, event: session_pb2.SessionEvent) -> None:
        stage = self.stage
        match event.WhichOneof("event"):
            case "participant_joined":
                stage.participant_count = event.participant_joined.participant_count
            case "block_activated":
                stage.question, stage.answer_key = event.block_activated.block, None
                stage.question_number = self._block_ids.index(stage.question.block_id) + 1
                stage.response_count, stage.stats = 0, None
            case "block_closed":
                stage.answer_key = event.block_closed.answer_key
            case "status_changed":
                stage.ended = event.status_changed.session.status == session_pb2.SESSION_STATUS_ENDED

    async def _watch_rounds(self) -> None:
        frames = follow(
            lambda after: self._client.rounds.WatchRounds(
                round_service_pb2.WatchRoundsRequest(session_id=self._session_id, after=after),
                metadata=self._metadata,
            )
        )
        async for frame in frames:
            for stats in frame.view.rounds:
                if self.stage.question is not None and stats.round_id == self.stage.question.round_id:
                    self.stage.response_count, self.stage.stats = stats.response_count, stats
            await self._show()

    async def _watch_board(self) -> None:
        frames = follow(
            lambda after: self._client.boards.WatchBoard(
                board_service_pb2.WatchBoardRequest(board_id=self._session_id, top=_TOP, after=after),
                metadata=self._metadata,
            )
        )
        entries: dict[str, Any] = {}
        async for frame in frames:
            if frame.WhichOneof("frame") != "view":
                continue
            if frame.view.full:
                entries.clear()
            for entry_id in frame.view.removed_entry_ids:
                entries.pop(entry_id, None)
            entries.update({entry.entry_id: entry for entry in frame.view.top_entries})
            self.stage.board = sorted(entries.values(), key=lambda entry: entry.rank)
            await self._show()


def _is_answered(stage: Stage, *, block_id: str, players: int) -> bool:
    if stage.question is None or stage.question.block_id != block_id:
        return False
    return stage.answer_key is not None or stage.response_count >= players
