"""A session's rounds, seats and totals inside one transaction that holds the session's lock."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from muster_kit.db.engine import Transaction, driver_of
from muster_kit.errors import MusterError, Reason
from sqlalchemy import text

from muster_scoring import statements, statements_removal
from muster_scoring.grading import is_graded
from muster_scoring.model import Entry, Round, RoundStats, RoundStatus, SavedDraft, Session, Standing
from muster_scoring.points import Feedback, ScoringRules
from muster_scoring.store import AnswerCodec, Outcome
from muster_scoring.store_queries import Rows, fetch
from muster_scoring.store_responses import submit_entries
from muster_scoring.store_rows import round_of, session_of, standing_of, stats_of

IsBoard: TypeAlias = Callable[[str], Awaitable[bool]]
"""Tells whether a service's board, of whatever organization, has an id."""


class PostgresLedger:
    """The Ledger, in a transaction of the app's role, so that it sees one organization."""

    def __init__(self, transaction: Transaction, codec: AnswerCodec, *, is_board: IsBoard) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._codec = codec
        self._is_board = is_board

    @property
    def now(self) -> datetime:
        """The database's time when the transaction began."""
        return self._transaction.now

    async def lock_session(self, session_id: str) -> Session | None:
        """Take the session's lock and return it; None when the organization has none of that id."""
        await self._execute(statements.KEEP_SESSION, session_id=session_id)
        row = await self._one_or_none(statements.LOCK_SESSION, session_id=session_id)
        return None if row is None else session_of(row)

    async def make_session(self, session_id: str, host_user_id: str = "") -> Session:
        """Return the session, made if it is not there, with its lock taken."""
        made = await self._one_or_none(
            statements.MAKE_SESSION,
            session_id=session_id,
            host_user_id=host_user_id,
            organization_id=self._transaction.organization_id,
        )
        if made is not None:
            await self._execute(statements.CLAIM_BOARD_ID, board_id=session_id)
            if await self._is_board(session_id):
                raise MusterError(Reason.ALREADY_EXISTS, detail="a board has the id")
        session = await self.lock_session(session_id)
        if session is None:
            raise MusterError(Reason.NOT_FOUND, detail="the session belongs to another organization")
        if host_user_id and session.host_user_id != host_user_id:
            await self._execute(statements.SET_HOST, session_id=session_id, host_user_id=host_user_id)
        return session

    async def round(self, round_id: str) -> Round | None:
        """Return a round of the organization."""
        row = await self._one_or_none(statements.ROUND, round_id=round_id)
        return None if row is None else round_of(row, self._codec)

    async def rounds(self, session_id: str) -> Sequence[Round]:
        """Return the session's rounds in the order of opening."""
        rows = await self._all(statements.ROUNDS, session_id=session_id)
        return [round_of(row, self._codec) for row in rows]

    async def add_round(self, round_: Round, seq: int, *, answer_key: bytes, rules: bytes) -> None:
        """Store a new round, as the session's change `seq`."""
        added = await self._one_or_none(
            statements.ADD_ROUND,
            **_round_columns(round_),
            session_id=round_.session_id,
            organization_id=round_.organization_id,
            block_id=round_.block_id,
            ordinal=round_.ordinal,
            graded=is_graded(round_.key),
            withheld=round_.rules.feedback is Feedback.ON_CLOSE,
            open_time=round_.open_time,
            time_limit=round_.time_limit,
            answer_key=answer_key,
            rules=rules,
            seq=seq,
            **_streak_columns(round_.rules),
        )
        if added is None:
            raise MusterError(Reason.ALREADY_EXISTS, detail="the round belongs to another organization")

    async def save_round(self, round_: Round, seq: int) -> None:
        """Store what became of a round, as the session's change `seq`."""
        close_seq = seq if round_.status is RoundStatus.CLOSED else None
        await self._execute(statements.SAVE_ROUND, **_round_columns(round_), seq=seq, close_seq=close_seq)

    async def drafts(self, round_id: str) -> Sequence[SavedDraft]:
        """Return the drafts of those who have not answered the round."""
        rows = await self._all(statements.DRAFTS, round_id=round_id)
        return [SavedDraft(**row) for row in rows]

    async def submit(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """Store the answers made from drafts."""
        return await submit_entries(await driver_of(self._connection), entries, from_draft=True)

    async def settle(self, round_: Round, seq: int) -> Sequence[Standing]:
        """Show what was held of a round's answers, and end the streaks of those who gave none."""
        await self._execute(statements.MANY_ROWS)
        rows = await self._all(
            statements.SETTLE, session_id=round_.session_id, round_id=round_.round_id, seq=seq
        )
        return [standing_of(row) for row in rows]

    async def take_back(self, round_: Round, seq: int) -> Sequence[Standing]:
        """Take a round's answers out of every total, as changes after `seq`; return the standings.

        `round_` is as it was before. When it was closed already, it also broke the streaks of those
        who did not answer it.
        """
        names = {"session_id": round_.session_id, "round_id": round_.round_id}
        was_closed = round_.status is RoundStatus.CLOSED
        await self._execute(statements.MANY_ROWS)
        await self._execute(statements.TAKE_BACK_TOTALS, **names)
        rows = await self._all(statements.TAKE_BACK_STANDINGS, **names, seq=seq, was_closed=was_closed)
        await self._execute(statements.CLEAR_ROUND, round_id=round_.round_id)
        await self._execute(statements.CLEAR_ANSWER_COUNTS, round_id=round_.round_id)
        return [standing_of(row) for row in rows]

    async def update_seat(
        self, session_id: str, participant_id: str, *, minimum_generation: int, hidden: bool, seq: int
    ) -> Standing:
        """Store a seat's settings; the lowest generation never goes down. Return its standing."""
        rows = await self._all(
            statements.UPDATE_SEAT,
            session_id=session_id,
            participant_id=participant_id,
            organization_id=self._transaction.organization_id,
            minimum_generation=minimum_generation,
            hidden=hidden,
            seq=seq,
        )
        return standing_of(rows[0])

    async def remove_session(self, session_id: str) -> None:
        """Delete a session with all that is kept of it."""
        rows = await self._all(statements_removal.ROUND_IDS, session_id=session_id)
        round_ids = [row["round_id"] for row in rows]
        await self._execute(statements.MANY_ROWS)
        for statement in statements_removal.OF_ROUNDS:
            await self._execute(statement, round_ids=round_ids)
        for statement in statements_removal.OF_SESSION:
            await self._execute(statement, session_id=session_id)

    async def advance(self, session_id: str, seq: int, *, opened: int = 0, cancelled: int = 0) -> None:
        """Note the session's last change, and count rounds that were opened or cancelled."""
        await self._execute(
            statements.ADVANCE, session_id=session_id, seq=seq, opened=opened, cancelled=cancelled
        )

    async def stats(self, round_id: str) -> RoundStats:
        """Return what is known of a round's answers."""
        (row,) = await self._all(statements.ROUND, round_id=round_id)
        counts = await self._all(statements.ANSWER_COUNTS, round_ids=[round_id])
        return stats_of(row, tuple((count["answer"], count["count"]) for count in counts))

    async def _execute(self, statement: str, **values: object) -> None:
        await self._connection.execute(text(statement), values)

    async def _all(self, statement: str, **values: object) -> Rows:
        return await fetch(self._transaction, statement, **values)

    async def _one_or_none(self, statement: str, **values: object) -> Mapping[str, Any] | None:
        result = await self._connection.execute(text(statement), values)
        return result.mappings().one_or_none()  # type: ignore[return-value]


def _round_columns(round_: Round) -> dict[str, object]:
    return {
        "round_id": round_.round_id,
        "status": int(round_.status),
        "revision": round_.revision,
        "close_time": round_.close_time,
        "time_left": round_.time_left,
        "pause_time": round_.pause_time,
        "paused": round_.paused,
    }


def _streak_columns(rules: ScoringRules) -> dict[str, int]:
    """The function in the database knows the streak, so it makes its points, of these."""
    return {
        "streak_step": rules.multiplier * rules.streak_step,
        "streak_maximum": rules.multiplier * rules.streak_maximum,
    }
