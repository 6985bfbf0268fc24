"""Reads what became of answers, and where everybody stands."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from muster_kit.db.engine import Database, Transaction

from muster_scoring import statements, statements_boards, statements_results
from muster_scoring.model import Response, Round, RoundStats, Session, Standing
from muster_scoring.model_board import Position
from muster_scoring.store import AnswerCodec, FoundResponse, ResponseFilter
from muster_scoring.store_boards import RankedStandings
from muster_scoring.store_queries import Rows, fetch, read
from muster_scoring.store_rows import response_of, round_of, session_of, standing_of, stats_of


class PostgresResults:
    """The RoundReader and the ResultStore, under row-level security but for `heads`."""

    def __init__(self, database: Database, writer_database: Database, codec: AnswerCodec) -> None:
        """`writer_database` sees all organizations; it is asked for numbers alone."""
        self._database = database
        self._writer_database = writer_database
        self._codec = codec

    async def read_round(self, organization_id: str, round_id: str) -> Round | None:
        """Return the round as last committed; None when the organization has no such round."""
        rows = await self._read(organization_id, statements.ROUND, round_id=round_id)
        return round_of(rows[0], self._codec) if rows else None

    async def session(self, organization_id: str, session_id: str) -> Session | None:
        """Return the session with its totals."""
        rows = await self._read(organization_id, statements.SESSION, session_id=session_id)
        return session_of(rows[0]) if rows else None

    async def responses(
        self, organization_id: str, wanted: ResponseFilter, *, after_seq: int, limit: int
    ) -> Sequence[FoundResponse]:
        """Return answers in the order they were taken, after the change `after_seq`."""
        of_one = {"participant_id": wanted.participant_id} if wanted.participant_id else {}
        rows = await self._read(
            organization_id,
            statements_results.OWN_RESPONSES if of_one else statements_results.RESPONSES,
            session_id=wanted.session_id,
            round_id=wanted.round_id,
            after_seq=after_seq,
            limit=limit,
            **of_one,
        )
        return list(map(_found, rows))

    async def newest_responses(
        self, organization_id: str, session_id: str, *, after_seq: int, until_seq: int, limit: int
    ) -> Sequence[FoundResponse]:
        """Return the last answers after the change `after_seq` up to `until_seq`, newest last."""
        rows = await self._read(
            organization_id,
            statements_results.NEWEST_RESPONSES,
            session_id=session_id,
            after_seq=after_seq,
            until_seq=until_seq,
            limit=limit,
        )
        return list(map(_found, reversed(rows)))

    async def response(self, organization_id: str, round_id: str, participant_id: str) -> Response | None:
        """Return a participant's answer to a round."""
        rows = await self._read(
            organization_id, statements_results.RESPONSE, round_id=round_id, participant_id=participant_id
        )
        return response_of(rows[0]) if rows else None

    async def stats(
        self, organization_id: str, session_id: str, *, after_seq: int = 0
    ) -> Sequence[RoundStats]:
        """Return the rounds that changed after `after_seq`, in order of opening."""
        async with self._database.transaction(organization_id) as transaction:
            rows = await fetch(
                transaction, statements_results.CHANGED_STATS, session_id=session_id, after_seq=after_seq
            )
            return await _with_distributions(transaction, rows)

    async def round_stats(self, organization_id: str, round_id: str) -> RoundStats | None:
        """Return the counts of one round; None when the organization has none of that id."""
        async with self._database.transaction(organization_id) as transaction:
            rows = await fetch(transaction, statements_results.ROUND_STATS, round_id=round_id)
            found = await _with_distributions(transaction, rows)
        return found[0] if found else None

    async def standings(
        self, organization_id: str, session_id: str, *, since_seq: int, after: str, limit: int
    ) -> tuple[int, Sequence[Standing]]:
        """Return the session's last change, and as of it who changed after `since_seq`, from `after` on."""
        rows = await self._read(
            organization_id,
            statements.STANDINGS,
            session_id=session_id,
            since_seq=since_seq,
            after=after,
            limit=limit,
        )
        seq = rows[0]["seq"] if rows else 0
        return seq, [standing_of(row) for row in rows if row["participant_id"] is not None]

    async def results(
        self, organization_id: str, session_id: str, *, after: tuple[bool, Position] | None, limit: int
    ) -> Sequence[tuple[int, Standing]]:
        """Return (rank, standing) of everybody who answered, best first, without a rank last."""
        rows = await self._read(
            organization_id,
            statements_boards.RESULTS,
            session_id=session_id,
            unranked=after[0] if after else False,
            limit=limit,
            **_after(after[1] if after else None),
        )
        return [(0 if row["unranked"] else row["rank"], standing_of(row)) for row in rows]

    async def ranked_page(
        self, organization_id: str, session_id: str, *, after: Position | None, limit: int
    ) -> RankedStandings:
        """Return who stands after a position of the board, from the best."""
        rows = await self._read(
            organization_id, statements_boards.PAGE, session_id=session_id, limit=limit, **_after(after)
        )
        return _ranked(rows)

    async def ranked_around(
        self, organization_id: str, session_id: str, participant_id: str, *, radius: int
    ) -> RankedStandings:
        """Return a participant with the neighbours on the board; nobody when they are not on it."""
        rows = await self._read(
            organization_id,
            statements_boards.AROUND,
            session_id=session_id,
            participant_id=participant_id,
            radius=radius,
        )
        return _ranked(rows)

    async def heads(self, session_ids: Collection[str]) -> Mapping[str, int]:
        """Return the last change of each session, of whatever organization."""
        rows = await read(self._writer_database, "", statements.HEADS, session_ids=list(session_ids))
        return {row["session_id"]: row["seq"] for row in rows}

    async def _read(self, organization_id: str, statement: str, **values: object) -> Rows:
        return await read(self._database, organization_id, statement, **values)


async def _with_distributions(transaction: Transaction, rows: Rows) -> list[RoundStats]:
    counts: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    if answered := [row["round_id"] for row in rows if row["response_count"]]:
        for row in await fetch(transaction, statements.ANSWER_COUNTS, round_ids=answered):
            counts[row["round_id"]].append((row["answer"], row["count"]))
    return [stats_of(row, tuple(counts[row["round_id"]])) for row in rows]


def _found(row: Mapping[str, Any]) -> FoundResponse:
    return FoundResponse(response_of(row), row["block_id"], row["is_withheld"])


def _after(position: Position | None) -> dict[str, object]:
    wanted = position or Position(score=0, duration_ms=0, reached_seq=0, entry_id="")
    return {
        "first": position is None,
        "score": wanted.score,
        "duration_ms": wanted.duration_ms,
        "reached_seq": wanted.reached_seq,
        "participant_id": wanted.entry_id,
    }


def _ranked(rows: Rows) -> RankedStandings:
    found = [row for row in rows if row["participant_id"] is not None]
    return RankedStandings(
        head_seq=rows[0]["head_seq"],
        first_rank=found[0]["rank"] if found else 0,
        entry_count=rows[0]["total"],
        standings=[standing_of(row) for row in found],
    )
