"""A board that a service makes and feeds, as its tests call it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.duration_pb2 import Duration
from muster.scoring.v1 import board_pb2
from muster.scoring.v1 import board_service_pb2 as pb
from muster_kit.caller import OrganizationRole
from muster_kit.rpc.tokens import issue_service_token, issue_user_token

from tests.rpc.scoring_game import SECRET, Metadata, bearer, new_id

if TYPE_CHECKING:
    from tests.rpc.scoring_fixtures import Scoring

BEST = board_pb2.BOARD_OPERATOR_BEST
SET = board_pb2.BOARD_OPERATOR_SET
INCREMENT = board_pb2.BOARD_OPERATOR_INCREMENT
ASCENDING = board_pb2.BOARD_ORDER_ASCENDING
DESCENDING = board_pb2.BOARD_ORDER_DESCENDING

RECOUNT = """
    SELECT e.entry_id, e.score, row_number() OVER (
        ORDER BY
            CASE WHEN b.ascending THEN e.score ELSE 0 END,
            CASE WHEN b.ascending THEN 0 ELSE e.score END DESC,
            e.duration_ms, e.reached_seq, e.entry_id COLLATE "C"
    ) AS rank
    FROM scoring.board AS b
    JOIN scoring.board_entry AS e ON e.board_id = b.board_id AND e.floor_seq = b.floor_seq
    WHERE b.board_id = $1 AND b.delete_time IS NULL AND NOT e.removed
    ORDER BY rank
"""


def service(organization: str = "", name: str = "arcade") -> Metadata:
    """How a service calls, for an organization or for any."""
    return bearer(issue_service_token(SECRET, service=name, organization_id=organization))


def a_score(entry_id: str, score: int, milliseconds: int = 0, **more: Any) -> board_pb2.ScoreSubmission:
    """A score to submit."""
    duration = Duration()
    duration.FromMilliseconds(milliseconds)
    return board_pb2.ScoreSubmission(entry_id=entry_id, score=score, duration=duration, **more)


@dataclass(slots=True)
class Leaderboard:
    """A board of an organization; `instance` is the process that is called."""

    scoring: "Scoring"
    organization: str
    board_id: str = field(default_factory=new_id)

    async def make(self, operator: Any = BEST, order: Any = DESCENDING, **more: Any) -> "Leaderboard":
        """Make it; returns itself."""
        await self.call(
            "CreateBoard",
            organization_id=self.organization,
            title="High scores",
            operator=operator,
            order=order,
            **more,
        )
        return self

    async def call(
        self, method: str, *, instance: int = 0, metadata: Metadata | None = None, **fields: Any
    ) -> Any:
        """Call a method of BoardService about this board."""
        stub = getattr(self.scoring.instances[instance].boards, method)
        request = getattr(pb, f"{method}Request")(board_id=self.board_id, **fields)
        return await stub(request, metadata=metadata or service())

    async def submit(
        self, entry_id: str, score: int, milliseconds: int = 0, *, instance: int = 0, **more: Any
    ) -> board_pb2.ScoreResult:
        """Submit one score."""
        submission = a_score(entry_id, score, milliseconds, **more)
        reply = await self.call("SubmitScore", submission=submission, instance=instance)
        result: board_pb2.ScoreResult = reply.result
        return result

    async def batch(
        self, *scores: board_pb2.ScoreSubmission, instance: int = 0, **more: Any
    ) -> pb.BatchSubmitScoresResponse:
        """Submit scores together."""
        reply: pb.BatchSubmitScoresResponse = await self.call(
            "BatchSubmitScores", submissions=scores, instance=instance, **more
        )
        return reply

    async def entries(self, *, instance: int = 0, page_size: int = 200) -> list[board_pb2.BoardEntry]:
        """Everybody on the board, page by page."""
        found: list[board_pb2.BoardEntry] = []
        token = ""
        while True:
            page = await self.call("ListEntries", page_size=page_size, page_token=token, instance=instance)
            found += page.entries
            token = page.next_page_token
            if not token:
                assert page.entry_count == len(found)
                return found

    async def ranking(self, *, instance: int = 0) -> list[tuple[str, int, int]]:
        """Everybody's id, score and rank."""
        return [(each.entry_id, each.score, each.rank) for each in await self.entries(instance=instance)]

    async def recounted(self) -> list[tuple[str, int, int]]:
        """The same by SQL."""
        rows = await self.scoring.rows(RECOUNT, self.board_id)
        return [(row["entry_id"], row["score"], row["rank"]) for row in rows]

    def user(self, role: OrganizationRole, *, subject: str = "someone", organization: str = "") -> Metadata:
        """How a user calls."""
        token = issue_user_token(
            SECRET,
            subject=subject,
            organization_id=organization or self.organization,
            organization_role=role,
        )
        return bearer(token)

    def stream(self, messages: Iterable[pb.StreamSubmitScoresRequest], *, instance: int = 0) -> Any:
        """Send messages on a stream of scores; returns the call, to read from."""
        return self.scoring.instances[instance].boards.StreamSubmitScores(iter(messages), metadata=service())

    def message(self, sequence: int, *scores: board_pb2.ScoreSubmission) -> pb.StreamSubmitScoresRequest:
        """A message of a stream."""
        if len(scores) == 1:
            return pb.StreamSubmitScoresRequest(
                sequence=sequence, board_id=self.board_id, submission=scores[0]
            )
        return pb.StreamSubmitScoresRequest(sequence=sequence, board_id=self.board_id, submissions=scores)
