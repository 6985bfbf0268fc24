"""One and the same small quiz, whoever carries the calls; and what is left of it, without ids and times."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from muster.scoring.v1 import round_service_pb2, rules_pb2
from muster.session.v1 import block_pb2, block_service_pb2, session_pb2, session_service_pb2
from muster_kit.errors import Reason
from muster_kit.rpc.status import received

from tests.chaos.history import History
from tests.chaos.ledger import Ledger, listed_board
from tests.chaos.people import Person
from tests.chaos.players import question, yes_or_no
from tests.e2e.running import Running

PLAYERS: Final = 14
BLOCKS: Final = 5
KICK_IN, SKIPPED = 1, 2

# What depends on when people acted, in which order, or on what ids were drawn.
_ARBITRARY: Final = frozenset(
    {"seq", "roundId", "joinCode", "revision", "participantCount", "organizationId"}
    | {f"{what}Time" for what in ("create", "start", "end", "open", "close", "change", "join", "leave")}
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left of a story, by names instead of ids.

    `events` are all events, counted; `moves` those that the host made, in their order. `answers` are
    by player and block: right or wrong, points, and whether it was a draft.
    """

    session: str
    events: Counter[str]
    moves: list[str]
    participants: dict[str, str]
    answers: dict[tuple[str, str], tuple[int, int, bool]]
    totals: dict[str, tuple[int, int, int, int]]
    board: list[tuple[str, int]]


class Story:
    """A session and those in it, each on a connection to `address`; the ids of their requests never vary."""

    def __init__(self, running: Running, address: str, *, label: str) -> None:
        def person(name: str, role: str) -> Person:
            return Person.on(
                address, name, running.user_token(name, role=role, organization=f"story-{label}")
            )

        self.session_id = f"story-{label}"
        self.host = person("host", "editor")
        self.players = [person(f"player-{number:02}", "member") for number in range(PLAYERS)]
        self.names: dict[str, str] = {self.session_id: "the session"}
        self.blocks: list[str] = []
        self._requests: Counter[str] = Counter()

    @property
    def histories(self) -> list[History]:
        """What everybody saw."""
        return [history for person in (self.host, *self.players) for history in person.histories]

    async def close(self) -> None:
        """End all connections."""
        await asyncio.gather(*(person.close() for person in (self.host, *self.players)))

    async def play(self) -> None:
        """Go through it from the beginning to the end, watched by everybody."""
        host = self.host
        await self._session(host, "CreateSession", settings=_SETTINGS)
        added = await self._block("AddBlocks", blocks=[_block(number) for number in range(BLOCKS)])
        self.blocks = [block.block_id for block in added.blocks]
        self.names |= {block_id: f"block {number}" for number, block_id in enumerate(self.blocks)}
        opened = await self._session(host, "OpenLobby")
        await asyncio.gather(*(self._join(person, opened.session.join_code) for person in self.players))
        async with asyncio.TaskGroup() as watching:
            tasks = [watching.create_task(self._watch(person)) for person in (host, *self.players)]
            await self._session(host, "StartSession")
            for number in range(BLOCKS):
                await self._ask(number)
            await self._session(host, "EndSession")
            # Those who were sent away are told by the end of their streams, the others by the end itself.
            async with asyncio.timeout(60):
                await asyncio.gather(*tasks)

    async def _ask(self, number: int) -> None:
        """One question: answers, drafts that are left for the clock, a pause, and someone who has to go."""
        activated = await self._block("ActivateBlock", block_id=self.blocks[number])
        round_id = activated.block.round_id
        await asyncio.gather(
            *(self._answer(player, who, number, round_id) for who, player in enumerate(self.players) if who)
        )
        await self._session(self.host, "PauseSession")
        await self._session(self.host, "ResumeSession")
        if number == KICK_IN:
            sent_away = self._id_of("player-00")
            await self._session(self.host, "KickParticipant", participant_id=sent_away)
        if number == SKIPPED:
            await self._block("SkipBlock", block_id=self.blocks[number])
            return
        await self._block("CloseBlock", block_id=self.blocks[number])

    async def _answer(self, player: Person, who: int, number: int, round_id: str) -> None:
        # Which questions somebody gets right are the bits of their number: no two have the same score.
        bit = number - (number > SKIPPED)
        answer = yes_or_no(bool(who >> bit & 1))
        verb = "SaveDraft" if (who + number) % 3 == 0 else "SubmitResponse"
        request = getattr(round_service_pb2, f"{verb}Request")
        await player.call(
            getattr(player.rounds, verb),
            request(request_id=self._request_id(player), round_id=round_id, answer=answer),
        )

    async def _join(self, person: Person, join_code: str) -> None:
        request = session_service_pb2.JoinSessionRequest(
            request_id=self._request_id(person), join_code=join_code, display_name=person.name
        )
        joined = await person.call(person.sessions.JoinSession, request)
        person.token = joined.ticket.token
        self.names[joined.participant.participant_id] = person.name

    async def _session(self, person: Person, verb: str, **fields: Any) -> Any:
        request = getattr(session_service_pb2, f"{verb}Request")
        return await person.call(
            getattr(person.sessions, verb),
            request(request_id=self._request_id(person), session_id=self.session_id, **fields),
        )

    async def _block(self, verb: str, **fields: Any) -> Any:
        request = getattr(block_service_pb2, f"{verb}Request")
        return await self.host.call(
            getattr(self.host.blocks, verb),
            request(request_id=self._request_id(self.host), session_id=self.session_id, **fields),
        )

    async def _watch(self, person: Person) -> None:
        """Follow the session to its end, or until the ticket is withdrawn."""

        def stream(after: bytes) -> Any:
            request = session_service_pb2.WatchSessionRequest(session_id=self.session_id, after=after)
            return person.sessions.WatchSession(request, metadata=person.metadata)

        try:
            async for frame in person.watch(stream, History(person.name)):
                statuses = [event.status_changed.session.status for event in frame.events.events]
                if session_pb2.SESSION_STATUS_ENDED in (*statuses, frame.snapshot.session.status):
                    return
        except grpc.aio.AioRpcError as error:
            told = received(error)
            if told is None or told.reason is not Reason.TICKET_REVOKED:
                raise

    def _request_id(self, person: Person) -> str:
        self._requests[person.name] += 1
        return f"{person.name}-{self._requests[person.name]}"

    def _id_of(self, name: str) -> str:
        return next(identity for identity, whose in self.names.items() if whose == name)

    async def outcome(self, ledger: Ledger, reader: Person) -> Outcome:
        """Return what is left of it, as the services tell it, and as the log has it."""
        events = await ledger.events()
        session, seats, answers, analytics = await asyncio.gather(
            reader.call(
                reader.sessions.GetSession,
                session_service_pb2.GetSessionRequest(session_id=self.session_id),
            ),
            reader.call(
                reader.sessions.ListParticipants,
                session_service_pb2.ListParticipantsRequest(
                    session_id=self.session_id, statuses=[1, 2, 3, 4]
                ),
            ),
            reader.call(
                reader.rounds.ListResponses,
                round_service_pb2.ListResponsesRequest(session_id=self.session_id, page_size=200),
            ),
            reader.call(
                reader.rounds.GetAnalytics,
                round_service_pb2.GetAnalyticsRequest(session_id=self.session_id, page_size=200),
            ),
        )
        return Outcome(
            session=self._told(session.session),
            events=Counter(map(self._told, events)),
            moves=[self._told(event) for event in events if event.WhichOneof("event") not in _OF_PLAYERS],
            participants={each.display_name: self._told(each) for each in seats.participants},
            answers={
                (each.display_name, self.names[each.block_id]): (each.status, each.score, each.from_draft)
                for each in answers.responses
            },
            totals={
                each.display_name: (each.score, each.response_count, each.correct_count, each.best_streak)
                for each in analytics.participants
            },
            board=[
                (self.names[participant_id], score)
                for participant_id, score, _ in await listed_board(reader, self.session_id)
            ],
        )

    def _told(self, message: Message) -> str:
        """A message with names for ids, and without what is arbitrary."""
        return json.dumps(self._renamed(MessageToDict(message)), sort_keys=True)

    def _renamed(self, value: Any) -> Any:
        match value:
            case dict():
                return {key: self._renamed(each) for key, each in value.items() if key not in _ARBITRARY}
            case list():
                return [self._renamed(each) for each in value]
            case str():
                return self.names.get(value, value)
        return value


_ALL_STATUSES: Final = [status for status in session_pb2.ParticipantStatus.values() if status]

# Among themselves they act at the same time, in whatever order.
_OF_PLAYERS: Final = ("participant_joined", "participant_left")

_SETTINGS: Final = session_pb2.SessionSettings(
    title="Story", visibility=session_pb2.SESSION_VISIBILITY_PUBLIC, late_join_allowed=True
)


def _block(number: int) -> block_pb2.NewBlock:
    block = question()
    block.rules.CopyFrom(rules_pb2.ScoringRules(base_points=100 << number))
    return block
