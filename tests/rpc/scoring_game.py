"""A session as the session service, the host and the players use scoring."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from muster.scoring.v1 import answer_pb2, rules_pb2
from muster.scoring.v1 import board_service_pb2 as boards
from muster.scoring.v1 import round_service_pb2 as rpc
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.rpc.tokens import issue_service_token, issue_user_token

if TYPE_CHECKING:
    from tests.rpc.scoring_fixtures import Scoring

Metadata = tuple[tuple[str, str], ...]

SECRET = "a secret of the tests that is long enough"


def bearer(token: str) -> Metadata:
    """The metadata that show a token."""
    return (("authorization", f"Bearer {token}"),)


def new_id() -> str:
    """An id nobody used."""
    return uuid.uuid4().hex


def choices_key(*worth: float, multiple: bool = False) -> answer_pb2.AnswerKey:
    """Choices a, b, c…, worth so much."""
    return answer_pb2.AnswerKey(
        choices=answer_pb2.ChoiceKey(
            choices=[
                answer_pb2.ChoiceCredit(choice_id=chr(ord("a") + place), credit=credit)
                for place, credit in enumerate(worth or (1.0, 0.0, 0.5))
            ],
            multiple=multiple,
        )
    )


def choose(*choice_ids: str) -> answer_pb2.Answer:
    """An answer that names these choices; of a key of `choices_key`, a is right, b wrong, c half right."""
    return answer_pb2.Answer(choices=answer_pb2.ChoiceAnswer(choice_ids=choice_ids))


@dataclass(frozen=True, slots=True)
class Player:
    """Someone with a ticket to a game."""

    game: "Game"
    participant_id: str
    ticket: Metadata

    async def submit(
        self,
        round_id: str,
        answer: answer_pb2.Answer | str = "a",
        *,
        request_id: str = "",
        instance: int = 0,
    ) -> rpc.SubmitResponseResponse:
        """Answer a round, by a choice or with any answer."""
        request = rpc.SubmitResponseRequest(
            request_id=request_id,
            round_id=round_id,
            answer=choose(answer) if isinstance(answer, str) else answer,
        )
        reply: rpc.SubmitResponseResponse = await self.game.scoring.instances[instance].rounds.SubmitResponse(
            request, metadata=self.ticket
        )
        return reply

    async def draft(
        self, round_id: str, answer: answer_pb2.Answer | str = "a", *, request_id: str = ""
    ) -> rpc.SaveDraftResponse:
        """Keep a draft."""
        request = rpc.SaveDraftRequest(
            request_id=request_id,
            round_id=round_id,
            answer=choose(answer) if isinstance(answer, str) else answer,
        )
        reply: rpc.SaveDraftResponse = await self.game.scoring.rounds.SaveDraft(request, metadata=self.ticket)
        return reply


@dataclass(slots=True)
class Game:
    """A session, as the session service and those in it would use scoring."""

    scoring: "Scoring"
    organization: str
    rules: rules_pb2.ScoringRules
    session_id: str = field(default_factory=new_id)
    host_user_id: str = "host"

    @property
    def service(self) -> Metadata:
        """How the session service calls."""
        return bearer(issue_service_token(SECRET, service="session"))

    def user(
        self,
        subject: str,
        role: OrganizationRole,
        *,
        organization: str = "",
        lifetime: timedelta = timedelta(hours=12),
    ) -> Metadata:
        """How a user calls."""
        token = issue_user_token(
            SECRET,
            subject=subject,
            organization_id=organization or self.organization,
            organization_role=role,
            lifetime=lifetime,
        )
        return bearer(token)

    def ticket(
        self,
        participant_id: str,
        role: RoomRole = RoomRole.PARTICIPANT,
        *,
        generation: int = 1,
        name: str = "",
    ) -> Metadata:
        """How somebody with a seat calls."""
        token, _ = self.scoring.signer.issue(
            subject=f"user-{participant_id}",
            organization_id=self.organization,
            organization_role=OrganizationRole.MEMBER,
            room_id=self.session_id,
            room_role=role,
            participant_id=participant_id,
            generation=generation,
            display_name=name or f"Name of {participant_id}",
        )
        return bearer(token)

    @property
    def host(self) -> Metadata:
        """How the host calls."""
        return self.ticket("", RoomRole.HOST)

    def player(self, name: str = "", *, generation: int = 1) -> Player:
        """Somebody who takes part."""
        participant_id = name or new_id()
        return Player(self, participant_id, self.ticket(participant_id, generation=generation))

    def players(self, count: int) -> list[Player]:
        """Several who take part, named p0, p1…"""
        return [self.player(f"p{number}") for number in range(count)]

    async def open(
        self,
        key: answer_pb2.AnswerKey | None = None,
        *,
        seconds: float | None = None,
        ago: float = 0,
        round_id: str = "",
        request_id: str = "",
        **rules: Any,
    ) -> str:
        """Open a round that lasts `seconds` and opened some seconds `ago`; return its id."""
        opened = await self.open_reply(
            key, seconds=seconds, ago=ago, round_id=round_id, request_id=request_id, **rules
        )
        return str(opened.round.round_id)

    async def open_reply(
        self,
        key: answer_pb2.AnswerKey | None = None,
        *,
        seconds: float | None = None,
        ago: float = 0,
        round_id: str = "",
        block_id: str = "block",
        request_id: str = "",
        **rules: Any,
    ) -> rpc.OpenRoundResponse:
        """Open a round; return the whole reply."""
        request = rpc.OpenRoundRequest(
            request_id=request_id,
            organization_id=self.organization,
            session_id=self.session_id,
            block_id=block_id,
            round_id=round_id or new_id(),
            answer_key=key or choices_key(),
            rules=rules_pb2.ScoringRules(**rules) if rules else self.rules,
            host_user_id=self.host_user_id,
        )
        request.window.open_time.FromDatetime(datetime.now(UTC) - timedelta(seconds=ago))
        if seconds is not None:
            request.window.time_limit.FromTimedelta(timedelta(seconds=seconds))
        reply: rpc.OpenRoundResponse = await self.scoring.rounds.OpenRound(request, metadata=self.service)
        return reply

    async def run(self, method: str, *, instance: int = 0, **fields: Any) -> Any:
        """Call a method for services about this session or one of its rounds."""
        request = getattr(rpc, f"{method}Request")(organization_id=self.organization, **fields)
        stub = getattr(self.scoring.instances[instance].rounds, method)
        return await stub(request, metadata=self.service)

    async def close(self, round_id: str, *, instance: int = 0) -> rpc.CloseRoundResponse:
        """Close a round."""
        reply: rpc.CloseRoundResponse = await self.run("CloseRound", round_id=round_id, instance=instance)
        return reply

    async def cancel(self, round_id: str) -> rpc.CancelRoundResponse:
        """Cancel a round."""
        reply: rpc.CancelRoundResponse = await self.run("CancelRound", round_id=round_id)
        return reply

    async def pause(self, at: datetime | None = None) -> rpc.PauseRoundsResponse:
        """Pause the rounds."""
        pause_time = at or datetime.now(UTC)
        reply: rpc.PauseRoundsResponse = await self.run(
            "PauseRounds", session_id=self.session_id, pause_time=pause_time
        )
        return reply

    async def resume(self, at: datetime | None = None) -> rpc.ResumeRoundsResponse:
        """Let the rounds go on."""
        resume_time = at or datetime.now(UTC)
        reply: rpc.ResumeRoundsResponse = await self.run(
            "ResumeRounds", session_id=self.session_id, resume_time=resume_time
        )
        return reply

    async def seat(self, participant_id: str, *, minimum_generation: int = 0, hidden: bool = False) -> None:
        """Change a seat."""
        await self.run(
            "UpdateSeat",
            session_id=self.session_id,
            participant_id=participant_id,
            minimum_generation=minimum_generation,
            hidden=hidden,
        )

    async def board(self, *, by: Metadata = (), instance: int = 0, page_size: int = 200) -> list[Any]:
        """All entries of the board."""
        entries: list[Any] = []
        token = ""
        while True:
            request = boards.ListEntriesRequest(
                board_id=self.session_id, page_size=page_size, page_token=token
            )
            page = await self.scoring.instances[instance].boards.ListEntries(
                request, metadata=by or self.host
            )
            entries += page.entries
            token = page.next_page_token
            if not token:
                return entries

    async def analytics(self, *, by: Metadata = (), **fields: Any) -> rpc.GetAnalyticsResponse:
        """The results."""
        request = rpc.GetAnalyticsRequest(session_id=self.session_id, **fields)
        reply: rpc.GetAnalyticsResponse = await self.scoring.rounds.GetAnalytics(
            request, metadata=by or self.host
        )
        return reply

    async def stats(self, round_id: str, *, by: Metadata = ()) -> Any:
        """The counts of a round."""
        request = rpc.GetRoundStatsRequest(round_id=round_id)
        return (await self.scoring.rounds.GetRoundStats(request, metadata=by or self.host)).stats

    async def responses(self, *, by: Metadata = (), **fields: Any) -> rpc.ListResponsesResponse:
        """A page of answers."""
        request = rpc.ListResponsesRequest(session_id=self.session_id, **fields)
        reply: rpc.ListResponsesResponse = await self.scoring.rounds.ListResponses(
            request, metadata=by or self.host
        )
        return reply
