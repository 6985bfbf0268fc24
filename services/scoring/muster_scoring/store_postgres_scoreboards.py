"""Boards that services make, in PostgreSQL."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final, TypeAlias, cast

from muster_kit.db.engine import Database, Transaction
from muster_kit.db.sweep import MINIMUM_KEPT
from muster_kit.errors import MusterError, Reason
from sqlalchemy import CursorResult, text

from muster_scoring import statements_scores as statements
from muster_scoring.model_board import Line, Position, floor_line, place_of
from muster_scoring.model_scoreboards import EntryShown, NewBoard, Scoreboard
from muster_scoring.statements import CLAIM_BOARD_ID
from muster_scoring.store_boards import Page
from muster_scoring.store_postgres_scores import scoreboard_of
from muster_scoring.store_queries import Rows, fetch, read

Row: TypeAlias = Mapping[str, Any]
Pack: TypeAlias = Callable[[EntryShown], bytes]

_KEPT: Final = timedelta(days=7)
"""Until then the id of a deleted board goes on counting changes: longer than the index keeps any board."""

_SWEPT_A_TIME: Final = 5000


class PostgresScoreboards:
    """The ScoreboardStore. Entries are read under row-level security, boards by who checks whose they are."""

    def __init__(self, database: Database, writer_database: Database, *, pack: Pack) -> None:
        """`writer_database` sees all organizations; `pack` makes the contract's entry, without a rank."""
        self._database = database
        self._writer_database = writer_database
        self._pack = pack

    async def find(self, board_id: str) -> Scoreboard | None:
        """Return a board, of whatever organization."""
        rows = await read(self._writer_database, "", statements.BOARD, board_id=board_id)
        return scoreboard_of(rows[0]) if rows else None

    async def owner(self, board_id: str) -> tuple[str, bool] | None:
        """Return whose the id is."""
        rows = await read(self._writer_database, "", statements.OWNER, board_id=board_id)
        return (rows[0]["organization_id"], rows[0]["is_session"]) if rows else None

    async def is_board(self, board_id: str) -> bool:
        """Return whether a board has the id, also one that was deleted."""
        owner = await self.owner(board_id)
        return owner is not None and not owner[1]

    async def heads(self, board_ids: Collection[str]) -> Mapping[str, int]:
        """Let seasons end that are over, and return the last change of each board that is there."""
        wanted = list(board_ids)

        async def turned(transaction: Transaction) -> Mapping[str, int]:
            overdue = await fetch(transaction, statements.OVERDUE, board_ids=wanted)
            if overdue:
                await fetch(transaction, statements.TURN, board_ids=[row["board_id"] for row in overdue])
            rows = await fetch(transaction, statements.HEADS, board_ids=wanted)
            return {row["board_id"]: row["seq"] for row in rows}

        return await self._writer_database.run("", turned, repeatable=True)

    async def lines(
        self, organization_id: str, board_id: str, *, since_seq: int, after: str, limit: int
    ) -> tuple[int, Sequence[Line]]:
        """Return what `BoardSource.lines` does."""
        rows = await read(
            self._database,
            organization_id,
            statements.LINES,
            board_id=board_id,
            since_seq=since_seq,
            after=after,
            limit=limit,
        )
        if not rows:
            return 0, ()
        head_seq, floor_seq = rows[0]["head_seq"], rows[0]["board_floor_seq"]
        lines = [self._line(row) for row in rows if row["entry_id"] is not None]
        if not after and floor_seq > since_seq:
            lines.insert(0, floor_line(floor_seq))
        return head_seq, lines[:limit]

    async def ranked_page(
        self, organization_id: str, board_id: str, *, after: Position | None, limit: int
    ) -> Page:
        """Return what `BoardSource.page` does."""
        wanted = after or Position(score=0, duration_ms=0, reached_seq=0, entry_id="")
        rows = await read(
            self._database,
            organization_id,
            statements.PAGE,
            board_id=board_id,
            first=after is None,
            **asdict(wanted),
            limit=limit,
        )
        return self._page(rows)

    async def ranked_around(self, organization_id: str, board_id: str, entry_id: str, *, radius: int) -> Page:
        """Return what `BoardSource.around` does."""
        rows = await read(
            self._database,
            organization_id,
            statements.AROUND,
            board_id=board_id,
            entry_id=entry_id,
            radius=radius,
        )
        return self._page(rows)

    async def sweep(self) -> None:
        """Remove old request keys, and what is left of past seasons and deleted boards."""
        for statement in statements.SWEEPS:

            async def once(transaction: Transaction, statement: str = statement) -> int:
                result = await transaction.connection.execute(
                    text(statement),
                    {
                        "keys_before": transaction.now - MINIMUM_KEPT,
                        "boards_before": transaction.now - _KEPT,
                        "limit": _SWEPT_A_TIME,
                    },
                )
                return cast("CursorResult[Any]", result).rowcount

            while await self._writer_database.run("", once, repeatable=True):
                pass

    def _page(self, rows: Rows) -> Page:
        found = [row for row in rows if row["entry_id"] is not None]
        lines = [self._line(row) for row in found]
        return Page(rows[0]["head_seq"], found[0]["rank"] if found else 0, rows[0]["total"], lines)

    def _line(self, row: Row) -> Line:
        entry_id = row["entry_id"]
        if row["removed"]:
            return Line(entry_id, row["version"], b"", b"")
        shown = EntryShown(
            entry_id, row["display_name"], row["score"], row["duration_ms"], row["submission_count"]
        )
        place = place_of(row["merit"], row["duration_ms"], row["reached_seq"], entry_id)
        return Line(entry_id, row["version"], place, self._pack(shown))


class PostgresScoreboardLedger:
    """The ScoreboardLedger, in a transaction of the app's role, so that it sees one organization."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def claim(self, board_id: str) -> None:
        """Let nobody else make a board or a session of an id."""
        await self._execute(CLAIM_BOARD_ID, board_id=board_id)

    async def make(self, board: NewBoard) -> Scoreboard:
        """Store a new board. Raises ALREADY_EXISTS when the id is some board's."""
        for statement in (statements.MAKE, statements.MAKE_AGAIN):
            made = await self._one(
                statement,
                **asdict(board),
                organization_id=self._transaction.organization_id,
                now=self._transaction.now,
            )
            if made is not None:
                return scoreboard_of(made)
        raise MusterError(Reason.ALREADY_EXISTS, detail=f"board {board.board_id}")

    async def lock(self, board_id: str) -> Scoreboard | None:
        """Return a board, locked and in its present season."""
        found = await self._one(statements.LOCK, board_id=board_id)
        if found is None:
            return None
        await fetch(self._transaction, statements.TURN, board_ids=[board_id])
        row = await self._one(statements.BOARD, board_id=board_id)
        return None if row is None else scoreboard_of(row)

    async def delete(self, board: Scoreboard) -> None:
        """Delete a locked board."""
        await self._execute(statements.DELETE, board_id=board.board_id, now=self._transaction.now)

    async def begin_anew(self, board: Scoreboard) -> Scoreboard:
        """Start a locked board over, in a new season."""
        (row,) = await fetch(self._transaction, statements.BEGIN_ANEW, board_id=board.board_id)
        return scoreboard_of(row)

    async def remove_entry(self, board: Scoreboard, entry_id: str) -> int | None:
        """Take an entry off a locked board; return the change that this is."""
        seq = board.seq + 1
        removed = await self._one(
            statements.REMOVE_ENTRY,
            board_id=board.board_id,
            floor_seq=board.floor_seq,
            entry_id=entry_id,
            seq=seq,
        )
        if removed is None:
            return None
        await self._execute(statements.ADVANCE, board_id=board.board_id, seq=seq)
        return seq

    async def _one(self, statement: str, **values: object) -> Row | None:
        rows = await fetch(self._transaction, statement, **values)
        return rows[0] if rows else None

    async def _execute(self, statement: str, **values: object) -> None:
        await self._transaction.connection.execute(text(statement), values)
