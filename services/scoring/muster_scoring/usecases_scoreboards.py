"""Making boards and looking after them; for services."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message
from muster_kit.caller import Caller
from muster_kit.db.engine import Transaction
from muster_kit.errors import MusterError, Reason, Violation
from muster_kit.ids import new_id

from muster_scoring.board_keeper import BoardKeeper
from muster_scoring.model_board import BoardChanges, Line
from muster_scoring.model_scoreboards import NewBoard, Scoreboard
from muster_scoring.scoreboards import ScoreboardCache
from muster_scoring.store_boards import Commit
from muster_scoring.store_scores import ScoreboardLedger, ScoreboardStore
from muster_scoring.usecases_rounds import Order, Requests

T = TypeVar("T")


class Scoreboards:
    """Boards that services make; every call may safely be asked twice.

    All of these raise NOT_FOUND for a board that is not there, or not of the organization that the
    service acts for, and PERMISSION_DENIED for the board of a session.
    """

    def __init__(
        self,
        requests: Requests,
        store: ScoreboardStore,
        cache: ScoreboardCache,
        keeper: BoardKeeper,
        *,
        bind: Callable[[Transaction], ScoreboardLedger],
    ) -> None:
        """`bind` makes the ledger that a transaction works with."""
        self._requests = requests
        self._store = store
        self._cache = cache
        self._keeper = keeper
        self._bind = bind

    async def create(self, order: Order, wanted: NewBoard, encode: Callable[[Scoreboard], Message]) -> bytes:
        """Make a board. Raises ALREADY_EXISTS when a session or a board has the id; INVALID_FIELD."""
        board = wanted if wanted.board_id else replace(wanted, board_id=new_id())
        _require_window(board)
        made: Scoreboard | None = None

        async def work(transaction: Transaction) -> Scoreboard:
            nonlocal made
            ledger = self._bind(transaction)
            await ledger.claim(board.board_id)
            if await self._is_sessions(board.board_id):
                raise MusterError(Reason.ALREADY_EXISTS, detail="a session has the id")
            await _require_teams(ledger, board)
            made = await ledger.make(board)
            return made

        reply = await self._requests.run(order.actor, work, request=order.request, encode=encode)
        if made is not None:
            await self._announce(made, made.beginning())
        return reply

    async def delete(self, caller: Caller, board_id: str, request: Message, response: Message) -> bytes:
        """Delete a board and its entries; its id may be used again.

        Raises UNAVAILABLE also when the board could not be removed from the index: ask again then.
        """

        async def work(ledger: ScoreboardLedger) -> None:
            await ledger.delete(await _locked(ledger, board_id))

        reply = await self._run(caller, board_id, work, request=request, encode=lambda _: response)
        self._cache.forget(board_id)
        # Also for a repeated request: whoever answered the first may not have come this far.
        await self._keeper.remove(board_id)
        return reply

    async def reset(
        self, caller: Caller, board_id: str, request: Message, encode: Callable[[Scoreboard], Message]
    ) -> bytes:
        """Start a board over, in a new season."""
        anew: Scoreboard | None = None

        async def work(ledger: ScoreboardLedger) -> Scoreboard:
            nonlocal anew
            anew = await ledger.begin_anew(await _locked(ledger, board_id))
            return anew

        reply = await self._run(caller, board_id, work, request=request, encode=encode)
        if anew is not None:
            await self._announce(anew, anew.beginning())
        return reply

    async def remove_entry(
        self, caller: Caller, board_id: str, entry_id: str, request: Message, response: Message
    ) -> bytes:
        """Take an entry off a board, until its next score; NOT_FOUND also when it is not on it."""
        removed: tuple[Scoreboard, int] | None = None

        async def work(ledger: ScoreboardLedger) -> None:
            nonlocal removed
            board = await _locked(ledger, board_id)
            seq = await ledger.remove_entry(board, entry_id)
            if seq is None:
                raise MusterError(Reason.NOT_FOUND, detail=f"entry {entry_id}")
            removed = board, seq

        reply = await self._run(caller, board_id, work, request=request, encode=lambda _: response)
        if removed is not None:
            board, seq = removed
            changes = BoardChanges(board_id, board.seq, seq, (Line(entry_id, seq, b"", b""),))
            await self._announce(board, changes)
        return reply

    async def _run(
        self,
        caller: Caller,
        board_id: str,
        work: Callable[[ScoreboardLedger], Awaitable[T]],
        *,
        request: Message,
        encode: Callable[[T], Message],
    ) -> bytes:
        """Carry out `work` once, for the organization whose board it is."""
        owner = await self._store.owner(board_id)
        if owner is None or not caller.acts_for(owner[0]):
            raise MusterError(Reason.NOT_FOUND, detail=f"board {board_id}")
        organization_id, is_sessions = owner
        if is_sessions:
            raise MusterError(Reason.PERMISSION_DENIED, detail="the board of a session")
        actor = replace(caller, organization_id=organization_id)
        return await self._requests.run(
            actor, lambda transaction: work(self._bind(transaction)), request=request, encode=encode
        )

    async def _is_sessions(self, board_id: str) -> bool:
        owner = await self._store.owner(board_id)
        return owner is not None and owner[1]

    async def _announce(self, board: Scoreboard, changes: BoardChanges) -> None:
        self._cache.forget(board.board_id)
        await self._keeper.apply_one(Commit(board.organization_id, changes))


async def _locked(ledger: ScoreboardLedger, board_id: str) -> Scoreboard:
    board = await ledger.lock(board_id)
    if board is None:
        raise MusterError(Reason.NOT_FOUND, detail=f"board {board_id}")
    return board


def _require_window(board: NewBoard) -> None:
    if board.open_time is not None and board.close_time is not None and board.open_time >= board.close_time:
        raise MusterError(
            Reason.INVALID_FIELD, violations=[Violation("close_time", "must be after open_time")]
        )


async def _require_teams(ledger: ScoreboardLedger, board: NewBoard) -> None:
    if not board.team_board_id:
        return
    if board.team_board_id == board.board_id or await ledger.lock(board.team_board_id) is None:
        raise MusterError(
            Reason.INVALID_FIELD,
            violations=[Violation("team_board_id", "must be another board of the organization")],
        )
