"""What a participant's connection must never carry: answer keys before the close, a host's credentials."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from muster.scoring.v1 import board_service_pb2 as boards
from muster.scoring.v1 import round_service_pb2 as rounds
from muster.session.v1 import block_pb2, block_service_pb2, session_pb2, session_service_pb2
from muster_stack.demo.client import Client, bearer

from tests.e2e.question_kinds import Example, examples
from tests.e2e.recording_proxy import RecordingProxy
from tests.e2e.running import Running

EXAMPLES = examples()
SESSION_KEY = f"key-{uuid.uuid4().hex}"


def test_there_is_an_example_of_every_kind() -> None:
    kinds = {field.name for field in block_pb2.BlockContent.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert EXAMPLES.keys() == kinds


@dataclass(slots=True)
class Room:
    """A running session with its host, and a participant whose connection is recorded."""

    session_id: str
    host: Client
    host_ticket: tuple[tuple[str, str], ...]
    host_token: str
    participant: Client
    ticket: tuple[tuple[str, str], ...]
    block_ids: dict[str, str]
    proxy: RecordingProxy
    tasks: list[asyncio.Task[None]]
    seen: list[Any]


@pytest.fixture(scope="module")
async def room(running: Running) -> AsyncIterator[Room]:
    host, host_token = Client.open(running.address), running.user_token("host", role="editor")
    created = await host.sessions.CreateSession(
        session_service_pb2.CreateSessionRequest(
            settings=session_pb2.SessionSettings(
                title="Leaks", visibility=session_pb2.SESSION_VISIBILITY_PRIVATE, late_join_allowed=True
            ),
            key=SESSION_KEY,
        ),
        metadata=bearer(host_token),
    )
    session_id = created.session.session_id
    added = await host.blocks.AddBlocks(
        block_service_pb2.AddBlocksRequest(
            session_id=session_id, blocks=[example.block for example in EXAMPLES.values()]
        ),
        metadata=bearer(host_token),
    )
    opened = await host.sessions.OpenLobby(
        session_service_pb2.OpenLobbyRequest(session_id=session_id), metadata=bearer(host_token)
    )
    hosting = await host.sessions.JoinSession(
        session_service_pb2.JoinSessionRequest(session_id=session_id), metadata=bearer(host_token)
    )
    host_ticket = bearer(hosting.ticket.token)
    await host.sessions.StartSession(
        session_service_pb2.StartSessionRequest(session_id=session_id), metadata=host_ticket
    )
    async with RecordingProxy(running.address) as proxy:
        participant = Client.open(proxy.address)
        joined = await participant.sessions.JoinSession(
            session_service_pb2.JoinSessionRequest(
                join_code=opened.session.join_code, key=SESSION_KEY, display_name="Ann"
            ),
            metadata=bearer(running.user_token("ann", role="member")),
        )
        room = Room(
            session_id=session_id,
            host=host,
            host_ticket=host_ticket,
            host_token=host_token,
            participant=participant,
            ticket=bearer(joined.ticket.token),
            block_ids=dict(zip(EXAMPLES, (block.block_id for block in added.blocks), strict=True)),
            proxy=proxy,
            tasks=[],
            seen=[],
        )
        for stream in _streams(room):
            room.tasks.append(asyncio.create_task(_collect(stream, room.seen)))
        yield room
        for task in room.tasks:
            task.cancel()
        await asyncio.gather(*room.tasks, return_exceptions=True)
        await participant.close()
        await host.close()


def _streams(room: Room) -> list[Any]:
    client, session_id = room.participant, room.session_id
    return [
        client.sessions.WatchSession(
            session_service_pb2.WatchSessionRequest(session_id=session_id), metadata=room.ticket
        ),
        client.rounds.WatchRounds(rounds.WatchRoundsRequest(session_id=session_id), metadata=room.ticket),
        client.boards.WatchBoard(
            boards.WatchBoardRequest(board_id=session_id, radius=3), metadata=room.ticket
        ),
    ]


async def _collect(stream: Any, seen: list[Any]) -> None:
    async for frame in stream:
        seen.append(frame)  # noqa: PERF401 — who waits looks at the list while it grows


async def _seen(room: Room, wanted: str, block_id: str) -> Any:
    """Wait for the event `wanted` of `block_id` on the participant's stream."""
    async with asyncio.timeout(10):
        while True:
            for frame in room.seen:
                if not isinstance(frame, session_service_pb2.WatchSessionResponse):
                    continue
                for event in frame.events.events:
                    part = getattr(event, wanted)
                    if event.HasField(wanted) and block_id in (
                        getattr(part, "block_id", ""),
                        part.block.block_id if wanted == "block_activated" else "",
                    ):
                        return part
            await asyncio.sleep(0.01)


async def _ask_everything(room: Room, round_id: str, example: Example) -> None:
    """Call whatever a participant may call that could give something away."""
    client, ticket, session_id = room.participant, room.ticket, room.session_id
    await client.sessions.GetSession(
        session_service_pb2.GetSessionRequest(session_id=session_id), metadata=ticket
    )
    await client.blocks.ListBlocks(
        block_service_pb2.ListBlocksRequest(session_id=session_id, page_size=200), metadata=ticket
    )
    await client.rounds.SaveDraft(
        rounds.SaveDraftRequest(round_id=round_id, answer=example.answer), metadata=ticket
    )
    await client.rounds.SubmitResponse(
        rounds.SubmitResponseRequest(round_id=round_id, answer=example.answer, request_id=uuid.uuid4().hex),
        metadata=ticket,
    )
    await client.rounds.ListResponses(rounds.ListResponsesRequest(session_id=session_id), metadata=ticket)
    await client.rounds.GetRoundStats(rounds.GetRoundStatsRequest(round_id=round_id), metadata=ticket)
    await client.boards.ListEntries(boards.ListEntriesRequest(board_id=session_id), metadata=ticket)
    replay = client.sessions.WatchSession(
        session_service_pb2.WatchSessionRequest(session_id=session_id, replay_only=True), metadata=ticket
    )
    async for _ in replay:
        pass
    for denied in (
        client.rounds.GetAnalytics(rounds.GetAnalyticsRequest(session_id=session_id), metadata=ticket),
        client.blocks.CloseBlock(
            block_service_pb2.CloseBlockRequest(session_id=session_id, block_id="any"), metadata=ticket
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await denied


@pytest.mark.parametrize("kind", EXAMPLES)
async def test_the_answer_key_reaches_a_participant_only_after_the_close(room: Room, kind: str) -> None:
    example, block_id = EXAMPLES[kind], room.block_ids[kind]
    activated = await room.host.blocks.ActivateBlock(
        block_service_pb2.ActivateBlockRequest(session_id=room.session_id, block_id=block_id),
        metadata=room.host_ticket,
    )
    await _seen(room, "block_activated", block_id)
    await _ask_everything(room, activated.block.round_id, example)
    for needle in example.needles:
        assert not room.proxy.holds(needle), needle

    await room.host.blocks.CloseBlock(
        block_service_pb2.CloseBlockRequest(session_id=room.session_id, block_id=block_id),
        metadata=room.host_ticket,
    )
    closed = await _seen(room, "block_closed", block_id)
    # The search finds what is there: the same needles are on the wire once the block is closed.
    assert closed.answer_key == example.block.answer_key
    assert room.proxy.holds(example.needles[0])


async def test_no_credential_of_the_host_or_the_session_is_ever_sent(room: Room) -> None:
    ticket = room.host_ticket[0][1].removeprefix("Bearer ")
    for secret in (SESSION_KEY, room.host_token, ticket, ticket.rpartition(".")[2], "$argon2"):
        assert not room.proxy.holds(secret.encode()), secret
    assert room.proxy.holds(room.ticket[0][1].removeprefix("Bearer ").encode()), (
        "the search finds what is there"
    )
