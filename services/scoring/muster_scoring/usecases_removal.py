"""Deleting all that is kept of a session; for the services that run sessions."""

from collections.abc import Callable

from google.protobuf.message import Message
from muster_kit.db.engine import Transaction

from muster_scoring.round_cache import RoundCache
from muster_scoring.session_boards import SessionBoards
from muster_scoring.session_cache import SessionCache
from muster_scoring.store import Ledger
from muster_scoring.usecases_deliveries import Deliveries
from muster_scoring.usecases_rounds import Order, Requests


class Removal:
    """Deletes sessions, so that nothing of them is left to read and their ids may be used again.

    What other processes still hold does no harm. An answer graded by a round that they have cached is
    refused by the store: the round is not there, or it is another one with another revision. A board
    that they load anew goes again, since they look whether its session is there once they have.
    """

    def __init__(
        self,
        requests: Requests,
        boards: SessionBoards,
        rounds: RoundCache,
        sessions: SessionCache,
        deliveries: Deliveries,
        *,
        bind: Callable[[Transaction], Ledger],
    ) -> None:
        """`bind` makes the ledger that a transaction works with."""
        self._requests = requests
        self._boards = boards
        self._rounds = rounds
        self._sessions = sessions
        self._deliveries = deliveries
        self._bind = bind

    async def delete(self, order: Order, session_id: str, encode: Callable[[None], Message]) -> bytes:
        """Delete a session with its rounds, answers, participants and board; what is not there is deleted.

        Raises UNAVAILABLE also when the board could not be removed from the index: ask again then.
        """

        async def work(transaction: Transaction) -> None:
            ledger = self._bind(transaction)
            if await ledger.lock_session(session_id) is not None:
                await ledger.remove_session(session_id)

        reply = await self._requests.run(order.actor, work, request=order.request, encode=encode)
        self._rounds.forget(order.organization_id, session_id)
        self._sessions.forget(order.organization_id, session_id)
        # Also for a repeated request: whoever answered the first may not have come this far.
        await self._boards.remove(session_id)
        await self._deliveries.forget(session_id)
        return reply
