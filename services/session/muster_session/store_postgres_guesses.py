"""Wrong guesses in PostgreSQL: a counter a guesser, in fixed windows of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from muster_kit.db import Database, GroupCommit
from sqlalchemy import case, delete, text
from sqlalchemy.dialects.postgresql import insert

from muster_session.settings import GuessLimits
from muster_session.tables import WRONG_GUESS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Counter:
    """Whose guesses are counted, for how long, and how many may be wrong."""

    subject: str
    window: timedelta
    limit: int

    def start(self, now: datetime) -> datetime:
        """Return when the present window began."""
        return now - (now - _EPOCH) % self.window

    def wait(self, window_start: datetime, failures: int, *, now: datetime) -> timedelta | None:
        """Return how long it takes until guesses are free again, if there were too many wrong ones."""
        if failures < self.limit or window_start != self.start(now):
            return None
        return window_start + self.window - now


# One array a column, so that the statement is the same for however many guessers.
_FIND: Final = text("""
SELECT guess.organization_id, guess.subject, guess.window_start, guess.failures
FROM session.wrong_guess AS guess
JOIN unnest(CAST(:organization_ids AS text[]), CAST(:subjects AS text[])) AS asked (organization_id, subject)
USING (organization_id, subject)
""")


@dataclass(frozen=True, slots=True)
class _Guesser:
    """Who wants to guess, and what is counted of them."""

    organization_id: str
    counters: Sequence[_Counter]


class PostgresGuesses:
    """`GuessLimiter` in the table `wrong_guess`.

    Right guesses write nothing, and those that come at once share a read: a whole class joins in the
    same seconds. The read is over all organizations, hence the writer's role.
    """

    def __init__(self, database: Database, writer_database: Database, limits: GuessLimits) -> None:
        self._database = database
        self._writer_database = writer_database
        self._limits = limits
        self._reads: GroupCommit[_Guesser, timedelta | None] = GroupCommit(self._find)

    async def wait(self, organization_id: str, user_id: str, address: str) -> timedelta | None:
        """Return how long the caller has to wait; None when they may guess."""
        return await self._reads.submit(_Guesser(organization_id, self._counters(user_id, address)))

    async def _find(self, guessers: Sequence[_Guesser]) -> Sequence[timedelta | None]:
        asked = {(each.organization_id, counter.subject) for each in guessers for counter in each.counters}
        names = {
            "organization_ids": [organization_id for organization_id, _ in asked],
            "subjects": [subject for _, subject in asked],
        }
        async with self._writer_database.transaction("") as transaction:
            rows, now = (await transaction.connection.execute(_FIND, names)).all(), transaction.now
        found = {(row.organization_id, row.subject): (row.window_start, row.failures) for row in rows}
        return [
            max(
                (
                    wait
                    for counter in each.counters
                    if (kept := found.get((each.organization_id, counter.subject)))
                    and (wait := counter.wait(*kept, now=now))
                ),
                default=None,
            )
            for each in guessers
        ]

    async def failed(self, organization_id: str, user_id: str, address: str) -> None:
        """Count a wrong guess."""
        guess = WRONG_GUESS.c
        async with self._database.transaction(organization_id) as transaction:
            rows = [
                {
                    "organization_id": organization_id,
                    "subject": counter.subject,
                    "window_start": counter.start(transaction.now),
                    "failures": 1,
                }
                # In one order for all, so that none waits for another that waits for it.
                for counter in sorted(self._counters(user_id, address), key=lambda each: each.subject)
            ]
            statement = insert(WRONG_GUESS).values(rows)
            same_window = guess.window_start == statement.excluded.window_start
            await transaction.connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["organization_id", "subject"],
                    set_={
                        "failures": case((same_window, guess.failures + 1), else_=1),
                        "window_start": statement.excluded.window_start,
                    },
                )
            )

    def _counters(self, user_id: str, address: str) -> Sequence[_Counter]:
        limits = self._limits
        return (
            _Counter(f"user:{user_id}", limits.window, limits.per_user),
            _Counter(f"address:{address}", limits.window, limits.per_address),
            _Counter("organization", timedelta(minutes=1), limits.per_minute),
        )


async def sweep_guesses(writer_database: Database) -> None:
    """Remove counters that count no more, of all organizations; for the writer's role."""
    async with writer_database.transaction("") as transaction:
        old = WRONG_GUESS.c.window_start < transaction.now - _KEPT
        await transaction.connection.execute(delete(WRONG_GUESS).where(old))
