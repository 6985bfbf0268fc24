"""What is really stored of a quiz, counted anew from its answers by SQL, and what the services say of it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from muster.scoring.v1 import board_service_pb2, round_service_pb2
from muster.session.v1 import session_pb2

from tests.chaos.board_watch import Row, row_of
from tests.chaos.machine import Machine
from tests.chaos.people import Person
from tests.chaos.quiz import Quiz
from tests.rpc.scoring_recount import recount, stored

_PAGE: Final = 200

# Of the answers alone, without any of the sums that are kept beside them.
_RANKING: Final = """
    SELECT participant_id, sum(score)::bigint AS score, sum(duration_ms)::bigint AS duration_ms,
           coalesce(max(seq) FILTER (WHERE score <> 0), min(seq)) AS reached_seq
    FROM scoring.response WHERE session_id = $1
    GROUP BY participant_id
    ORDER BY score DESC, duration_ms, reached_seq, participant_id COLLATE "C"
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """The result of holding what players were told against what is stored."""

    acknowledged: int
    lost: int
    doubled: int
    phantom: int


class Ledger:
    """The rows of one session."""

    def __init__(self, machine: Machine, session_id: str) -> None:
        self.session_id = session_id
        self._url = machine.database_url

    @property
    def scoring(self) -> "Ledger":
        """Where rows come from, as a recount asks for it."""
        return self

    async def rows(self, query: str, *arguments: object) -> list[Any]:
        """The rows of a query."""
        connection = await asyncpg.connect(self._url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def settle(self, quiz: Quiz) -> Settled:
        """Compare each acknowledged answer with the stored one; and look for any that nobody was told of."""
        rows = await self.rows(
            "SELECT round_id, participant_id, request_id, score FROM scoring.response WHERE session_id = $1",
            self.session_id,
        )
        stored_scores = {
            (row["round_id"], row["participant_id"], row["request_id"]): row["score"] for row in rows
        }
        told = {
            (each.round_id, each.participant_id, each.request_id): each.score for each in quiz.acknowledged
        }
        places = Counter((row["round_id"], row["participant_id"]) for row in rows)
        return Settled(
            acknowledged=len(told),
            lost=sum(stored_scores.get(key) != score for key, score in told.items()),
            doubled=sum(count - 1 for count in places.values()),
            phantom=len(stored_scores.keys() - told.keys()),
        )

    async def check_sums(self) -> None:
        """Assert that every kept sum, streak and distribution is what its answers add up to."""
        assert await stored(self) == await recount(self)

    async def ranking(self) -> list[Row]:
        """The board that the answers make, from the best."""
        rows = await self.rows(_RANKING, self.session_id)
        return [(row["participant_id"], row["score"], row["duration_ms"]) for row in rows]

    async def log(self) -> dict[int, bytes]:
        """The session's events by seq, as clients see them."""
        rows = await self.rows(
            "SELECT seq, payload FROM session.room_event WHERE room_id = $1 ORDER BY seq", self.session_id
        )
        return {row["seq"]: _as_seen(row["seq"], row["payload"]) for row in rows}

    async def events(self) -> list[session_pb2.SessionEvent]:
        """The session's events in their order."""
        return [session_pb2.SessionEvent.FromString(content) for content in (await self.log()).values()]


def _as_seen(seq: int, payload: bytes) -> bytes:
    event = session_pb2.SessionEvent.FromString(payload)
    event.seq = seq
    return event.SerializeToString(deterministic=True)


async def listed_board(reader: Person, session_id: str) -> list[Row]:
    """The board as ListEntries gives it, page by page."""
    entries: list[Any] = []
    token = ""
    while True:
        page = await reader.call(
            reader.boards.ListEntries,
            board_service_pb2.ListEntriesRequest(board_id=session_id, page_size=_PAGE, page_token=token),
        )
        entries += page.entries
        token = page.next_page_token
        if not token:
            break
    assert [entry.rank for entry in entries] == list(range(1, len(entries) + 1))
    return [row_of(entry) for entry in entries]


async def listed_responses(reader: Person, session_id: str) -> list[tuple[str, str, int]]:
    """All answers as ListResponses gives them: round, participant and score."""
    found: list[tuple[str, str, int]] = []
    token = ""
    while True:
        page = await reader.call(
            reader.rounds.ListResponses,
            round_service_pb2.ListResponsesRequest(session_id=session_id, page_size=_PAGE, page_token=token),
        )
        found += [(each.round_id, each.participant_id, each.score) for each in page.responses]
        token = page.next_page_token
        if not token:
            return found
