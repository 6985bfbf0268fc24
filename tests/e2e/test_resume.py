"""A session's stream cut after every event goes on where it was, on whichever worker answers."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from muster.session.v1 import block_service_pb2, session_pb2, session_service_pb2
from muster_stack.demo.client import Client, Metadata, bearer

from tests.e2e.question_kinds import examples
from tests.e2e.running import Running


@dataclass(frozen=True, slots=True)
class Recording:
    """What one client saw of a whole session without ever being cut."""

    session_id: str
    ticket: Metadata
    frames: list[session_service_pb2.WatchSessionResponse]

    def events(self) -> list[session_pb2.SessionEvent]:
        """All events, in the order they came."""
        return [event for frame in self.frames for event in frame.events.events]


@pytest.fixture(scope="module")
async def recording(running: Running) -> AsyncIterator[Recording]:
    """A session from lobby to end: people come, go and come back, blocks open, close and are skipped."""
    client, host = Client.open(running.address), bearer(running.user_token("host", role="editor"))
    session_id = f"resume-{uuid.uuid4().hex}"
    settings = session_pb2.SessionSettings(
        title="Resume", visibility=session_pb2.SESSION_VISIBILITY_PUBLIC, late_join_allowed=True
    )
    blocks = [example.block for example in examples().values()][:3]
    try:
        await client.sessions.CreateSession(
            session_service_pb2.CreateSessionRequest(session_id=session_id, settings=settings), metadata=host
        )
        await client.blocks.AddBlocks(
            block_service_pb2.AddBlocksRequest(session_id=session_id, blocks=blocks), metadata=host
        )
        opened = await _verb(client, "OpenLobby", session_id, host)
        ticket = bearer((await _join(client, running, "ann", opened.session.join_code)).ticket.token)
        frames: list[session_service_pb2.WatchSessionResponse] = []
        ended = asyncio.Event()
        watching = asyncio.create_task(_record(client, session_id, ticket, frames, ended))
        await _play(client, running, session_id, host, opened.session.join_code)
        async with asyncio.timeout(10):
            await ended.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        yield Recording(session_id, ticket, frames)
    finally:
        await client.close()


async def _record(
    client: Client,
    session_id: str,
    ticket: Metadata,
    frames: list[session_service_pb2.WatchSessionResponse],
    ended: asyncio.Event,
) -> None:
    request = session_service_pb2.WatchSessionRequest(session_id=session_id)
    async for frame in client.sessions.WatchSession(request, metadata=ticket):
        frames.append(frame)
        for event in frame.events.events:
            if event.status_changed.session.status == session_pb2.SESSION_STATUS_ENDED:
                ended.set()


async def _play(client: Client, running: Running, session_id: str, host: Metadata, code: str) -> None:
    bob = await _join(client, running, "bob", code)
    await asyncio.gather(*(_join(client, running, f"user-{number}", code) for number in range(20)))
    await _verb(client, "StartSession", session_id, host)
    await client.sessions.LeaveSession(
        session_service_pb2.LeaveSessionRequest(session_id=session_id), metadata=bearer(bob.ticket.token)
    )
    for finish in ("CloseBlock", "SkipBlock", "CloseBlock"):
        activated = await client.blocks.ActivateBlock(
            block_service_pb2.ActivateBlockRequest(session_id=session_id), metadata=host
        )
        await _verb(client, "PauseSession", session_id, host)
        await _verb(client, "ResumeSession", session_id, host)
        request = getattr(block_service_pb2, f"{finish}Request")
        await getattr(client.blocks, finish)(
            request(session_id=session_id, block_id=activated.block.block_id), metadata=host
        )
    await _join(client, running, "bob", code)
    await _verb(client, "EndSession", session_id, host)


async def _join(
    client: Client, running: Running, user: str, code: str
) -> session_service_pb2.JoinSessionResponse:
    joined: session_service_pb2.JoinSessionResponse = await client.sessions.JoinSession(
        session_service_pb2.JoinSessionRequest(join_code=code),
        metadata=bearer(running.user_token(user, role="member")),
    )
    return joined


async def _verb(
    client: Client, verb: str, session_id: str, host: Metadata
) -> session_service_pb2.OpenLobbyResponse:
    request = getattr(session_service_pb2, f"{verb}Request")
    answer: session_service_pb2.OpenLobbyResponse = await getattr(client.sessions, verb)(
        request(session_id=session_id), metadata=host
    )
    return answer


async def _resumed(running: Running, recording: Recording, after: bytes) -> list[session_pb2.SessionEvent]:
    # A connection of its own: the kernel gives it to whichever worker it likes.
    client = Client.open(running.address)
    try:
        request = session_service_pb2.WatchSessionRequest(
            session_id=recording.session_id, after=after, replay_only=True
        )
        events = []
        async for frame in client.sessions.WatchSession(request, metadata=recording.ticket):
            assert not frame.HasField("snapshot")
            assert not frame.HasField("reset")
            events += frame.events.events
        return events
    finally:
        await client.close()


def test_events_are_numbered_without_a_gap(recording: Recording) -> None:
    seqs = [event.seq for event in recording.events()]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    kinds = {event.WhichOneof("event") for event in recording.events()}
    assert {"participant_joined", "participant_left", "status_changed", "block_activated"} <= kinds
    assert {"block_closed", "block_skipped"} <= kinds


async def test_a_stream_cut_after_any_frame_goes_on_with_the_next_event(
    running: Running, recording: Recording
) -> None:
    everything = recording.events()
    sent = 0
    for frame in recording.frames:
        sent += len(frame.events.events)
        if frame.HasField("snapshot") or frame.HasField("events"):
            rest = await _resumed(running, recording, frame.cursor)
            assert rest == everything[sent:], f"after {frame.WhichOneof('frame')} with {sent} events"


async def test_a_cursor_of_another_session_starts_over(running: Running, recording: Recording) -> None:
    client = Client.open(running.address)
    try:
        request = session_service_pb2.WatchSessionRequest(
            session_id=recording.session_id, after=b"not one of ours", replay_only=True
        )
        stream = client.sessions.WatchSession(request, metadata=recording.ticket)
        frames = [frame async for frame in stream]
    finally:
        await client.close()
    kinds = [frame.WhichOneof("frame") for frame in frames]
    assert kinds[:2] == ["reset", "snapshot"]
