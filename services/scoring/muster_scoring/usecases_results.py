"""What became of the answers: lists, counts of a round, results of a session."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason
from muster_kit.records import record

from muster_scoring.model import Response, RoundStats, RoundStatus, Session, Standing
from muster_scoring.model_board import Position, position_of
from muster_scoring.round_cache import RoundCache
from muster_scoring.store import ResponseFilter, ResultStore
from muster_scoring.usecases_access import Access, Doors

RUNNING: Final = frozenset({RoundStatus.OPEN, RoundStatus.PAUSED})


@record
class ShownResponse:
    """An answer to a block; `withheld` when the viewer may not know yet what it was worth."""

    response: Response
    block_id: str
    withheld: bool


@dataclass(frozen=True, slots=True)
class ResponsePage:
    """Answers in the order they were taken; `next_seq` is where the next page goes on, if there is one."""

    responses: Sequence[ShownResponse]
    next_seq: int | None


@dataclass(frozen=True, slots=True)
class ParticipantResult:
    """Where somebody stands; `rank` is 0 for those who are not on the board."""

    rank: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class Analytics:
    """Results of a session, with one page of its participants.

    `next_position` is where the next page goes on, if there is one: whether its first ones are off
    the board, and after whom.
    """

    session: Session
    rounds: Sequence[RoundStats]
    participants: Sequence[ParticipantResult]
    next_position: tuple[bool, Position] | None


class Results:
    """Reads results, for whom they are meant."""

    def __init__(self, results: ResultStore, rounds: RoundCache, doors: Doors) -> None:
        self._results = results
        self._rounds = rounds
        self._doors = doors

    async def responses(
        self, caller: Caller, wanted: ResponseFilter, *, after_seq: int, page_size: int
    ) -> ResponsePage:
        """List answers: all for staff, their own for participants, none for others.

        Raises NOT_FOUND, and PERMISSION_DENIED for somebody else's answers.
        """
        access = await self._doors.enter(caller, wanted.session_id)
        found = await self._results.responses(
            access.organization_id, _narrowed(wanted, access), after_seq=after_seq, limit=page_size + 1
        )
        shown = [
            ShownResponse(each.response, each.block_id, each.is_withheld and not access.is_staff)
            for each in found[:page_size]
        ]
        return ResponsePage(shown, shown[-1].response.seq if len(found) > page_size else None)

    async def round_stats(self, caller: Caller, round_id: str) -> tuple[RoundStats, bool]:
        """Return the counts of a round, and whether the caller may know no more than how many answered."""
        # Not from the cache, in which it may be of a session that was deleted.
        round_ = await self._rounds.read(caller.organization_id, round_id)
        access = await self._doors.enter(caller, round_.session_id)
        stats = await self._results.round_stats(access.organization_id, round_id)
        if stats is None:
            raise MusterError(Reason.NOT_FOUND, detail=f"round {round_id}")
        return stats, stats.status in RUNNING and not access.is_staff

    async def analytics(
        self, caller: Caller, session_id: str, *, after: tuple[bool, Position] | None, page_size: int
    ) -> Analytics:
        """Return the results of a session; for staff. Raises NOT_FOUND, PERMISSION_DENIED."""
        access = await self._doors.enter_as_staff(caller, session_id)
        organization_id = access.organization_id
        session = await self._results.session(organization_id, session_id)
        if session is None:
            raise MusterError(Reason.NOT_FOUND, detail=f"session {session_id}")
        rounds = await self._results.stats(organization_id, session_id)
        found = await self._results.results(organization_id, session_id, after=after, limit=page_size + 1)
        participants = [ParticipantResult(rank, standing) for rank, standing in found[:page_size]]
        last = participants[-1] if len(found) > page_size else None
        return Analytics(
            session, rounds, participants, (last.rank == 0, position_of(last.standing)) if last else None
        )


def _narrowed(wanted: ResponseFilter, access: Access) -> ResponseFilter:
    if access.is_staff:
        return wanted
    if not access.participant_id or wanted.participant_id not in ("", access.participant_id):
        raise MusterError(Reason.PERMISSION_DENIED, detail="answers of others")
    return ResponseFilter(wanted.session_id, wanted.round_id, access.participant_id)
