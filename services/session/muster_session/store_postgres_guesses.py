"""Wrong guesses in PostgreSQL: a counter a guesser, in fixed windows of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from muster_kit.db import Database
from sqlalchemy import case, delete, select
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


class PostgresGuesses:
    """`GuessLimiter` in the table `wrong_guess`; right guesses cost one read and write nothing."""

    def __init__(self, database: Database, limits: GuessLimits) -> None:
        self._database = database
        self._limits = limits

    async def wait(self, organization_id: str, user_id: str, address: str) -> timedelta | None:
        """Return how long the caller has to wait; None when they may guess."""
        counters = {counter.subject: counter for counter in self._counters(user_id, address)}
        guess = WRONG_GUESS.c
        query = select(WRONG_GUESS).where(
            guess.organization_id == organization_id, guess.subject.in_(list(counters))
        )
        async with self._database.transaction(organization_id) as transaction:
            rows, now = (await transaction.connection.execute(query)).all(), transaction.now
        waits = [
            row.window_start + counters[row.subject].window - now
            for row in rows
            if row.failures >= counters[row.subject].limit
            and row.window_start == counters[row.subject].start(now)
        ]
        return max(waits, default=None)

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
