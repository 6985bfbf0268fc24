"""The write path of what is not in a room: each request has its effect once here, too."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Table

from muster_kit.caller import Caller
from muster_kit.db.engine import Database, Transaction
from muster_kit.db.faults import once_more
from muster_kit.db.idempotency import Answers, Claim, claim_of
from muster_kit.db.room_statements import request_statements

T = TypeVar("T")


class Requests:
    """Answers requests that change no room, such as those about classes, friends and boards.

    A `request_id` gives what it gives in `Commands`; every request is a transaction of its own.
    """

    def __init__(self, database: Database, request: Table) -> None:
        self._database = database
        self._statements = request_statements(request)

    async def run(
        self,
        caller: Caller,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        request: Message,
        encode: Callable[[T], Message],
        landed: Callable[[T], None] | None = None,
    ) -> bytes:
        """Carry out `work` in a transaction of the caller's organization; return the serialized answer.

        Raises what `work` raises, REQUEST_ID_REUSED and UNAVAILABLE. May run twice before it lands;
        `landed` is told of what it returned once that is durable: a hint, lost with the connection or the
        process in between.
        """
        done: list[T] = []

        async def answer(transaction: Transaction) -> bytes:
            result = await work(transaction)
            done.append(result)
            return encode(result).SerializeToString()

        claim = claim_of(caller, request)

        async def attempt() -> bytes:
            done.clear()
            response = await self._answer(caller.organization_id, claim, answer)
            if landed is not None and done:
                landed(done[0])
            return response

        return await once_more(attempt, repeatable=claim is not None)

    async def _answer(
        self, organization_id: str, claim: Claim | None, answer: Callable[[Transaction], Awaitable[bytes]]
    ) -> bytes:
        if claim is not None:
            return await self._answer_once(organization_id, claim, answer)
        async with self._database.transaction(organization_id) as transaction:
            return await answer(transaction)

    async def _answer_once(
        self, organization_id: str, claim: Claim, answer: Callable[[Transaction], Awaitable[bytes]]
    ) -> bytes:
        answers = Answers([claim])
        names = {"organization_id": organization_id}
        async with self._database.connection() as connection:
            row = (await connection.execute(self._statements.begin, names | answers.claimed)).one()
            answers.found(row)
            if (stored := answers.of(claim)) is not None:
                return stored
            response = await answer(Transaction(connection, row.now, organization_id))
            answers.give(claim, response)
            await connection.execute(self._statements.finish, names | answers.answered)
        return response
