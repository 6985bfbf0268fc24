"""A running session with someone in every part there is, made over gRPC, and everybody's tokens."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from muster.scoring.v1 import answer_pb2, board_service_pb2, round_service_pb2, rules_pb2
from muster.session.v1 import (
    block_pb2,
    block_service_pb2,
    class_pb2,
    class_service_pb2,
    session_pb2,
    session_service_pb2,
)
from muster.session.v1.class_service_pb2_grpc import ClassServiceStub
from muster_stack.demo.client import Client, bearer

from tests.e2e.generic_calls import Metadata
from tests.e2e.policy_table import ACTORS
from tests.e2e.running import Running

_USERS: Final = {"o": "owner", "a": "admin", "e": "editor", "m": "member"}
_FAR_AWAY: Final = Timestamp(seconds=4_000_000_000)


def question() -> block_pb2.NewBlock:
    """Return a block that is answered with true or false."""
    return block_pb2.NewBlock(
        content=block_pb2.BlockContent(prompt="Is it so?", true_false=block_pb2.TrueFalse()),
        answer_key=answer_pb2.AnswerKey(true_false=answer_pb2.TrueFalseKey(value=True)),
    )


def yes() -> answer_pb2.Answer:
    """Return the right answer to it."""
    return answer_pb2.Answer(true_false=answer_pb2.TrueFalseAnswer(value=True))


@dataclass(frozen=True, slots=True)
class StagedRoom:
    """An active session, its second block open and answered, and a class of the editor who runs it.

    `tokens` and `seats` go by the letters of the policy table. The seat `target` is nobody's who acts.
    """

    organization: str
    session_id: str
    join_code: str
    block_ids: list[str]
    round_id: str
    tokens: Mapping[str, str]
    seats: Mapping[str, str]
    class_id: str

    def metadata(self, actor: str) -> Metadata:
        """Return the metadata with which the actor calls."""
        return bearer(self.tokens[actor])

    def values(self) -> dict[str, Any]:
        """Return what requests are made of that mean this room and what is in it."""
        target = self.seats["target"]
        return {
            "organization_id": self.organization,
            "session_id": self.session_id,
            "board_id": self.session_id,
            "block_id": self.block_ids[0],
            "block_ids": self.block_ids,
            "round_id": self.round_id,
            "participant_id": target,
            "entry_id": target,
            "join_code": self.join_code,
            "class_id": self.class_id,
            "muster.session.v1.CloseBlockRequest.block_id": self.block_ids[1],
            "muster.session.v1.NewBlock": question(),
            "muster.scoring.v1.Answer": yes(),
            "muster.scoring.v1.AnswerKey": question().answer_key,
            "muster.scoring.v1.ScoringRules": rules_pb2.ScoringRules(base_points=1000),
            "scheduled_time": _FAR_AWAY,
        }

    async def state(self, client: Client) -> list[bytes]:
        """Return all that its host sees of it, and of the class."""
        session_id, host = self.session_id, self.metadata("H")
        classes, teacher = ClassServiceStub(client.channel), self.metadata("e")
        replies = await asyncio.gather(
            client.sessions.GetSession(
                session_service_pb2.GetSessionRequest(session_id=session_id), metadata=host
            ),
            client.sessions.ListStatusChanges(
                session_service_pb2.ListStatusChangesRequest(session_id=session_id), metadata=host
            ),
            client.sessions.ListParticipants(
                session_service_pb2.ListParticipantsRequest(session_id=session_id, statuses=[1, 2, 3, 4]),
                metadata=host,
            ),
            client.blocks.ListBlocks(
                block_service_pb2.ListBlocksRequest(session_id=session_id), metadata=host
            ),
            client.rounds.ListResponses(
                round_service_pb2.ListResponsesRequest(session_id=session_id), metadata=host
            ),
            client.rounds.GetAnalytics(
                round_service_pb2.GetAnalyticsRequest(session_id=session_id), metadata=host
            ),
            client.boards.ListEntries(
                board_service_pb2.ListEntriesRequest(board_id=session_id), metadata=host
            ),
            classes.GetClass(class_service_pb2.GetClassRequest(class_id=self.class_id), metadata=teacher),
            classes.ListClassMembers(
                class_service_pb2.ListClassMembersRequest(class_id=self.class_id), metadata=teacher
            ),
        )
        return [reply.SerializeToString(deterministic=True) for reply in replies]


async def stage_room(running: Running, client: Client, organization: str) -> StagedRoom:
    """Make a session of the organization, with everybody in it."""
    tokens = {
        letter: running.user_token(f"{role}-{uuid.uuid4().hex}", role=role, organization=organization)
        for letter, role in _USERS.items()
    }
    tokens["V"] = running.service_token(organization=organization)
    session_id, join_code, block_ids = await _open(client, bearer(tokens["e"]))
    host = await _join(client, tokens["e"], session_id=session_id)
    tokens["H"] = host.ticket.token
    seats = {"m": (await _join(client, tokens["m"], join_code=join_code)).participant.participant_id}
    for letter in ("C", "P", "S", "target"):
        user = running.user_token(f"guest-{uuid.uuid4().hex}", role="member", organization=organization)
        joined = await _join(client, user, join_code=join_code, as_spectator=letter == "S")
        seats[letter] = joined.participant.participant_id
        if letter == "C":
            joined = await _promote(client, bearer(tokens["H"]), session_id, seats["C"], user)
        tokens[letter] = joined.ticket.token
    metadata = bearer(tokens["H"])
    await client.sessions.StartSession(
        session_service_pb2.StartSessionRequest(session_id=session_id), metadata=metadata
    )
    activated = await client.blocks.ActivateBlock(
        block_service_pb2.ActivateBlockRequest(session_id=session_id, block_id=block_ids[1]),
        metadata=metadata,
    )
    await client.rounds.SubmitResponse(
        round_service_pb2.SubmitResponseRequest(round_id=activated.block.round_id, answer=yes()),
        metadata=bearer(tokens.pop("target")),
    )
    assert tokens.keys() == set(ACTORS)
    return StagedRoom(
        organization=organization,
        session_id=session_id,
        join_code=join_code,
        block_ids=block_ids,
        round_id=activated.block.round_id,
        tokens=tokens,
        seats=seats,
        class_id=await _make_class(client, bearer(tokens["e"])),
    )


async def _open(client: Client, editor: Metadata) -> tuple[str, str, list[str]]:
    settings = session_pb2.SessionSettings(
        title="Staged", visibility=session_pb2.SESSION_VISIBILITY_UNLISTED, late_join_allowed=True
    )
    created = await client.sessions.CreateSession(
        session_service_pb2.CreateSessionRequest(settings=settings), metadata=editor
    )
    session_id = created.session.session_id
    added = await client.blocks.AddBlocks(
        block_service_pb2.AddBlocksRequest(session_id=session_id, blocks=[question() for _ in range(3)]),
        metadata=editor,
    )
    opened = await client.sessions.OpenLobby(
        session_service_pb2.OpenLobbyRequest(session_id=session_id), metadata=editor
    )
    return session_id, opened.session.join_code, [block.block_id for block in added.blocks]


async def _make_class(client: Client, editor: Metadata) -> str:
    request = class_service_pb2.CreateClassRequest(
        settings=class_pb2.ClassSettings(title="Staged"),
        members=[class_pb2.NewClassMember(user_id=f"pupil-{uuid.uuid4().hex}")],
    )
    made = await ClassServiceStub(client.channel).CreateClass(request, metadata=editor)
    class_id: str = getattr(made, "class").class_id
    return class_id


async def _join(client: Client, token: str, **request: Any) -> Any:
    return await client.sessions.JoinSession(
        session_service_pb2.JoinSessionRequest(**request), metadata=bearer(token)
    )


async def _promote(client: Client, host: Metadata, session_id: str, seat: str, user: str) -> Any:
    """Make the holder of a seat a cohost, who joins again for the ticket that says so."""
    await client.sessions.UpdateParticipant(
        session_service_pb2.UpdateParticipantRequest(
            session_id=session_id, participant_id=seat, role=session_pb2.PARTICIPANT_ROLE_COHOST
        ),
        metadata=host,
    )
    return await _join(client, user, session_id=session_id)
