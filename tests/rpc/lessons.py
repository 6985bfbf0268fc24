"""A lesson to test with: a session in an organization of its own, its host, and whoever joins."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.duration_pb2 import Duration
from muster.scoring.v1 import answer_pb2
from muster.session.v1 import block_pb2, session_pb2
from muster.session.v1 import block_service_pb2 as blocks_pb
from muster.session.v1 import session_service_pb2 as pb
from muster_kit.caller import OrganizationRole

from tests.rpc.house import House, Metadata, bearer

STATUS = {name: getattr(session_pb2, f"SESSION_STATUS_{name.upper()}") for name in (
    "draft", "scheduled", "waiting", "active", "paused", "ended", "cancelled"
)}  # fmt: skip


def request_id() -> str:
    """Return an id nobody used."""
    return uuid.uuid4().hex


def seconds(value: float) -> Duration:
    """Return a span."""
    return Duration(seconds=int(value), nanos=round(value % 1 * 1e9))


def true_false(prompt: str = "Is it so?", **fields: Any) -> block_pb2.NewBlock:
    """Return a block to be answered with true."""
    return block_pb2.NewBlock(
        content=block_pb2.BlockContent(prompt=prompt, true_false=block_pb2.TrueFalse()),
        answer_key=answer_pb2.AnswerKey(true_false=answer_pb2.TrueFalseKey(value=True)),
        **fields,
    )


@dataclass(slots=True)
class Seat:
    """Someone who joined: the answer to it, and how they call from then on."""

    joined: Any
    user: Metadata

    @property
    def id(self) -> str:
        """The seat's id."""
        value: str = self.joined.participant.participant_id
        return value

    @property
    def ticket(self) -> Metadata:
        """The metadata that show the ticket."""
        return bearer(self.joined.ticket.token)


@dataclass(slots=True)
class Lesson:
    """A session made by the editor `host`; every call is a real one."""

    house: House
    organization: str
    host: Metadata
    session_id: str
    block_ids: list[str] = field(default_factory=list)
    join_code: str = ""

    def user(self, name: str, role: OrganizationRole = OrganizationRole.MEMBER) -> Metadata:
        """Return a user of the same organization."""
        return self.house.user(name, organization=self.organization, role=role)

    async def call(self, rpc: str, *, by: Metadata | None = None, **fields: Any) -> Any:
        """Call a method of SessionService about this session, as the host unless told otherwise."""
        request = getattr(pb, f"{rpc}Request")(session_id=self.session_id, **fields)
        return await getattr(self.house.sessions, rpc)(request, metadata=by or self.host)

    async def block_call(self, rpc: str, *, by: Metadata | None = None, **fields: Any) -> Any:
        """Call a method of BlockService about this session."""
        request = getattr(blocks_pb, f"{rpc}Request")(session_id=self.session_id, **fields)
        return await getattr(self.house.blocks, rpc)(request, metadata=by or self.host)

    async def add(self, *blocks: block_pb2.NewBlock, **fields: Any) -> list[str]:
        """Add blocks and return their ids."""
        added = await self.block_call("AddBlocks", blocks=blocks, **fields)
        ids = [block.block_id for block in added.blocks]
        self.block_ids += ids
        return ids

    async def open(self) -> str:
        """Open the lobby and return the code."""
        self.join_code = (await self.call("OpenLobby")).session.join_code
        return self.join_code

    async def start(self) -> None:
        """Open the lobby and start."""
        await self.open()
        await self.call("StartSession")

    async def join(self, name: str, *, code: str = "", **fields: Any) -> Seat:
        """Let a member join by code."""
        user = self.user(name)
        request = pb.JoinSessionRequest(join_code=code or self.join_code, **fields)
        return Seat(await self.house.sessions.JoinSession(request, metadata=user), user)

    async def join_by_id(self, by: Metadata, **fields: Any) -> Any:
        """Join by the id of the session."""
        request = pb.JoinSessionRequest(session_id=self.session_id, **fields)
        return await self.house.sessions.JoinSession(request, metadata=by)

    async def session(self, by: Metadata | None = None) -> Any:
        """Read the session."""
        return (await self.call("GetSession", by=by)).session

    async def blocks(self, by: Metadata | None = None) -> list[Any]:
        """Read the blocks, all pages of them."""
        blocks, token = [], ""
        while True:
            page = await self.block_call("ListBlocks", by=by, page_size=200, page_token=token)
            blocks += page.blocks
            token = page.next_page_token
            if not token:
                return blocks

    async def block(self, block_id: str, by: Metadata | None = None) -> Any:
        """Read one block."""
        return next(block for block in await self.blocks(by) if block.block_id == block_id)

    async def events(self, by: Metadata | None = None) -> list[Any]:
        """Read the log from its beginning, as a client does that has seen nothing of it."""
        cursor = await self.first_cursor()
        request = pb.WatchSessionRequest(session_id=self.session_id, after=cursor, replay_only=True)
        return [
            event
            async for frame in self.house.sessions.WatchSession(request, metadata=by or self.host)
            for event in frame.events.events
        ]

    async def first_cursor(self) -> bytes:
        """Return the cursor before the first event: a newer one with its seq set to 0."""
        request = pb.WatchSessionRequest(session_id=self.session_id, max_frames=1)
        async for frame in self.house.sessions.WatchSession(request, metadata=self.host):
            return bytes(frame.cursor[:-8]) + bytes(8)
        raise AssertionError("no frame came")

    @asynccontextmanager
    async def watch(self, by: Metadata | None = None, *, after: bytes = b"") -> AsyncIterator["Watch"]:
        """Watch the session; without a cursor, the snapshot is there when the block begins."""
        request = pb.WatchSessionRequest(session_id=self.session_id, after=after)
        call = self.house.sessions.WatchSession(request, metadata=by or self.host)
        watch = Watch(call)
        try:
            if not after:
                await watch.frame("snapshot")
            yield watch
        finally:
            await watch.close()


class Watch:
    """A watch stream that is read all the time."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.frames: list[Any] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @property
    def events(self) -> list[Any]:
        """All events that came."""
        return [event for frame in self.frames for event in frame.events.events]

    async def frame(self, kind: str, *, seconds: float = 10) -> Any:
        """Wait for the first frame of a kind."""
        return await self._find(lambda: (f for f in self.frames if f.WhichOneof("frame") == kind), seconds)

    async def event(self, kind: str, *, seconds: float = 10, **fields: Any) -> Any:
        """Wait for the first event of a kind, with these fields."""
        return await self._find(
            lambda: (
                getattr(event, kind)
                for event in self.events
                if event.WhichOneof("event") == kind
                and all(getattr(getattr(event, kind), name) == value for name, value in fields.items())
            ),
            seconds,
        )

    async def ended(self) -> Any:
        """Wait for the end; return its status code."""
        async with asyncio.timeout(30):
            await asyncio.wait([self._reader])
        return await self.call.code()

    async def close(self) -> None:
        """Stop watching."""
        self.call.cancel()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _find(self, candidates: Any, seconds: float = 10) -> Any:
        async with asyncio.timeout(seconds), self._news:
            while True:
                found = next(iter(candidates()), None)
                if found is not None:
                    return found
                if self._reader.done():
                    raise AssertionError(f"the stream ended with {await self.call.code()}: {self.frames}")
                await self._news.wait()

    async def _read(self) -> None:
        try:
            async for frame in self.call:
                async with self._news:
                    self.frames.append(frame)
                    self._news.notify_all()
        except Exception:  # noqa: BLE001 - the end is looked at by its code
            pass
        finally:
            async with self._news:
                self._news.notify_all()


async def new_lesson(house: House, *, key: str = "", blocks: int = 0, **settings: Any) -> Lesson:
    """Make a session in a new organization, with some blocks."""
    organization = f"org-{uuid.uuid4().hex[:8]}"
    host = house.user("host", organization=organization, role=OrganizationRole.EDITOR)
    wanted = session_pb2.SessionSettings(
        **{"title": "Lesson", "visibility": session_pb2.SESSION_VISIBILITY_UNLISTED, **settings}
    )
    request = pb.CreateSessionRequest(settings=wanted, key=key)
    created = await house.sessions.CreateSession(request, metadata=host)
    lesson = Lesson(house, organization, host, created.session.session_id)
    if blocks:
        await lesson.add(*(true_false(f"Question {number}") for number in range(1, blocks + 1)))
    return lesson
