"""Guesses in PostgreSQL: looked up, judged and counted in one transaction for all that come at once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, NamedTuple

from muster_kit.db import Database, GroupCommit, Transaction
from muster_kit.db.idempotency import Key
from muster_kit.errors import MusterError, Reason
from sqlalchemy import any_, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, insert

from muster_session.guessing import Count, Tally
from muster_session.model import ParticipantStatus, Session
from muster_session.settings import GuessLimits
from muster_session.store_directory import EarlierAnswer, Guess, Judge, Undecided
from muster_session.store_rows import session_of
from muster_session.tables import JOIN_CODE, PARTICIPANT, SESSION, WRONG_GUESS

_KEPT: Final = timedelta(days=1)

_HOLDS: Final = [ParticipantStatus.JOINED.value, ParticipantStatus.LEFT.value]

_Answer = Session | EarlierAnswer | Undecided


class _Entry(NamedTuple):
    guess: Guess
    judge: Judge


class _Found(NamedTuple):
    """A session, and who of those that guess holds a seat in it."""

    session: Session
    user_ids: frozenset[str]


# Whoever guesses takes this lock, also where nothing is counted yet: without it a right guess would
# overtake the wrong ones that were sent with it, and their number would not matter.
_LOCK: Final = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('session.wrong_guess/' || :organization_id, 0))"
)

# A statement of its own, so that it sees what was committed before the lock was had, and a later time.
_COUNTS: Final = text("""
SELECT clock.now, guess.subject, guess.window_start, guess.failures
FROM (SELECT clock_timestamp() AS now) AS clock LEFT JOIN session.wrong_guess AS guess
ON guess.organization_id = :organization_id AND guess.subject = ANY (CAST(:subjects AS text[]))
""")

# Arrays, so that the statements are the same for however many guess.
_ANSWERS: Final = text("""
SELECT caller_id, request_id, method, fingerprint, response FROM session.request
WHERE organization_id = :organization_id AND response IS NOT NULL
  AND (caller_id, request_id) IN (
    SELECT * FROM unnest(CAST(:caller_ids AS text[]), CAST(:request_ids AS text[]))
  )
""")

# Nothing, rather than an empty array, when nobody does.
_SEATED: Final = (
    select(func.array_agg(PARTICIPANT.c.user_id))
    .where(
        PARTICIPANT.c.session_id == SESSION.c.session_id,
        PARTICIPANT.c.user_id == any_(bindparam("user_ids", type_=ARRAY(TEXT))),
        PARTICIPANT.c.status.in_(_HOLDS),
    )
    .scalar_subquery()
)

_SESSIONS: Final = (
    select(SESSION, _SEATED.label("seated"))
    .join(JOIN_CODE, JOIN_CODE.c.session_id == SESSION.c.session_id)
    .where(
        JOIN_CODE.c.organization_id == bindparam("organization_id"),
        JOIN_CODE.c.join_code == any_(bindparam("join_codes", type_=ARRAY(TEXT))),
    )
)


class PostgresGuesses:
    """`Guesses` over the table `wrong_guess`.

    The guesses of an organization that come while others are on their way share the next
    transaction: a whole class joins in the same seconds. What is right writes nothing.
    """

    def __init__(self, database: Database, limits: GuessLimits) -> None:
        self._database = database
        self._limits = limits
        self._queues: dict[str, GroupCommit[_Entry, _Answer]] = {}

    async def make(self, guess: Guess, judge: Judge) -> _Answer:
        """Look up, judge and count a guess."""
        organization_id = guess.organization_id
        if (queue := self._queues.get(organization_id)) is None:
            queue = self._queues[organization_id] = GroupCommit(
                partial(self._commit, organization_id),
                on_idle=lambda: self._forget(organization_id),
            )
        return await queue.submit(_Entry(guess, judge))

    async def forgive(self, guess: Guess, undecided: Undecided) -> None:
        """Count a guess no more."""

        async def work(transaction: Transaction) -> None:
            tally = await self._tally(transaction, [guess])
            tally.forgive(guess.guesser, undecided.guess_time)
            await _save(transaction, tally)

        await self._database.run(guess.organization_id, work)

    async def close(self) -> None:
        """Count what was guessed."""
        for queue in list(self._queues.values()):
            await queue.close()

    def _forget(self, organization_id: str) -> None:
        del self._queues[organization_id]

    async def _commit(
        self, organization_id: str, entries: Sequence[_Entry]
    ) -> Sequence[_Answer | MusterError]:
        return await self._database.run(organization_id, partial(self._judge, entries))

    async def _judge(
        self, entries: Sequence[_Entry], transaction: Transaction
    ) -> Sequence[_Answer | MusterError]:
        guesses = [entry.guess for entry in entries]
        answers = await _answers(transaction, guesses)
        found = await _sessions(transaction, guesses)
        tally = await self._tally(transaction, guesses)
        outcomes = [
            _repeated(entry.guess, answers) or _outcome(entry, found.get(entry.guess.join_code), tally)
            for entry in entries
        ]
        await _save(transaction, tally)
        return outcomes

    async def _tally(self, transaction: Transaction, guesses: Sequence[Guess]) -> Tally:
        execute, names = transaction.connection.execute, {"organization_id": transaction.organization_id}
        subjects = sorted({subject for guess in guesses for subject in guess.guesser.subjects})
        await execute(_LOCK, names)
        rows = (await execute(_COUNTS, names | {"subjects": subjects})).all()
        counts = {row.subject: Count(row.window_start, row.failures) for row in rows if row.subject}
        return Tally(self._limits, rows[0].now, counts)


def _repeated(guess: Guess, answers: Mapping[Key, EarlierAnswer]) -> EarlierAnswer | None:
    return answers.get(guess.request.key) if guess.request is not None else None


def _outcome(entry: _Entry, found: _Found | None, tally: Tally) -> _Answer | MusterError:
    guesser = entry.guess.guesser
    holds_seat = found is not None and guesser.user_id in found.user_ids
    if wait := tally.wait(guesser, holds_seat=holds_seat):
        return MusterError(Reason.RATE_LIMITED, retry_after=wait, detail="guesses")
    session = found.session if found is not None else None
    is_right = entry.judge(session)
    if is_right and session is not None:
        return session
    tally.count(guesser)
    return Undecided(session, tally.now) if is_right is None else MusterError(Reason.JOIN_REFUSED)


async def _answers(transaction: Transaction, guesses: Sequence[Guess]) -> Mapping[Key, EarlierAnswer]:
    keys = {guess.request.key for guess in guesses if guess.request is not None}
    if not keys:
        return {}
    names = {
        "organization_id": transaction.organization_id,
        "caller_ids": [caller_id for caller_id, _ in keys],
        "request_ids": [request_id for _, request_id in keys],
    }
    return {
        (row.caller_id, row.request_id): EarlierAnswer(row.method, row.fingerprint, row.response)
        for row in await transaction.connection.execute(_ANSWERS, names)
    }


async def _sessions(transaction: Transaction, guesses: Sequence[Guess]) -> Mapping[str, _Found]:
    values = {
        "organization_id": transaction.organization_id,
        "join_codes": sorted({guess.join_code for guess in guesses}),
        "user_ids": sorted({guess.guesser.user_id for guess in guesses}),
    }
    return {
        row.join_code: _Found(session_of(row), frozenset(row.seated or ()))
        for row in await transaction.connection.execute(_SESSIONS, values)
    }


async def _save(transaction: Transaction, tally: Tally) -> None:
    if not tally.changes:
        return
    rows = [
        {
            "organization_id": transaction.organization_id,
            "subject": subject,
            "window_start": count.window_start,
            "failures": count.failures,
        }
        for subject, count in tally.changes.items()
    ]
    new = insert(WRONG_GUESS).values(rows)
    await transaction.connection.execute(
        new.on_conflict_do_update(
            index_elements=["organization_id", "subject"],
            set_={"window_start": new.excluded.window_start, "failures": new.excluded.failures},
        )
    )


async def sweep_guesses(writer_database: Database) -> None:
    """Remove counters that count no more, of all organizations; for the writer's role."""
    async with writer_database.transaction("") as transaction:
        old = WRONG_GUESS.c.window_start < transaction.now - _KEPT
        await transaction.connection.execute(delete(WRONG_GUESS).where(old))
