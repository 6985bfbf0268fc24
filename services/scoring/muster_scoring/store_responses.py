"""The hot path: batches of answers and drafts to PostgreSQL, one round trip each."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from muster_kit.db.faults import together

from muster_scoring.model import Draft, Entry, Response
from muster_scoring.points import RULE_VERSION, ScoreParts
from muster_scoring.store import DraftOutcome, Outcome, Verdict
from muster_scoring.store_rows import STATUS_NUMBERS, Row, milliseconds, response_of, standing_of
from muster_scoring.store_writer import WriterConnection, WriterPool

_SUBMIT: Final = "SELECT * FROM scoring.submit_responses($1, $2, $3, $4)"
_SAVE_DRAFTS: Final = "SELECT * FROM scoring.save_drafts($1)"

_SEPARATOR: Final = "\x1f"
_TOKEN_BYTES: Final = 512

_WAITING: Final = 4
"""So many sessions are waited for at a time; more are seldom closed at once."""

_BUSY: Final = Outcome(Verdict.BUSY)

_DRAFT_VERDICTS: Final = {
    1: Verdict.ACCEPTED,
    2: Verdict.REPEATED,
    3: Verdict.STALE,
    4: Verdict.REVOKED,
    5: Verdict.ANSWERED,
}


class PostgresResponses:
    """The ResponseStore: connections for answers, for those that wait, and for drafts, made when needed."""

    def __init__(self, url: str) -> None:
        """`url` is the address of the writer's role."""
        self._answers = WriterConnection(url)
        self._waiting = WriterPool(url, size=_WAITING)
        self._drafts = WriterConnection(url)

    async def submit(self, entries: Sequence[Entry], *, wait: bool) -> Sequence[Outcome | BaseException]:
        """Store answers with everything that follows from them, durably, in one transaction."""

        async def work(batch: Sequence[Entry]) -> Sequence[Outcome]:
            writer = self._waiting if wait else self._answers
            return await writer.run(lambda connection: submit_entries(connection, batch, wait=wait))

        return await together(work, entries)

    async def save_drafts(self, drafts: Sequence[Draft]) -> Sequence[DraftOutcome | BaseException]:
        """Keep drafts, each in place of the one before it."""

        async def work(batch: Sequence[Draft]) -> Sequence[DraftOutcome]:
            rows = await self._drafts.run(
                lambda connection: connection.fetch(_SAVE_DRAFTS, list(map(_draft_row, batch)))
            )
            return [
                DraftOutcome(_DRAFT_VERDICTS[row["outcome"]], row["save_time"], row["known_fingerprint"])
                for row in rows
            ]

        return await together(work, drafts)

    async def close(self) -> None:
        """Close the connections."""
        await self._answers.close()
        await self._waiting.close()
        await self._drafts.close()


async def submit_entries(
    connection: "asyncpg.Connection[Any]",
    entries: Sequence[Entry],
    *,
    from_draft: bool = False,
    wait: bool = True,
) -> list[Outcome]:
    """Call the function in the database, in the connection's transaction or in one of its own."""
    rows = await connection.fetch(_SUBMIT, list(map(_entry_row, entries)), RULE_VERSION, from_draft, wait)
    return [_outcome(entry, row, from_draft=from_draft) for entry, row in zip(entries, rows, strict=True)]


def _entry_row(entry: Entry) -> tuple[object, ...]:
    """Return an entry as the database's type of that name."""
    seat, round_, parts = entry.seat, entry.round, entry.parts
    return (
        seat.session_id,
        round_.round_id,
        round_.revision,
        seat.participant_id,
        seat.generation,
        seat.display_name,
        entry.request_id,
        entry.answer,
        STATUS_NUMBERS[entry.grade.status],
        parts.base,
        parts.speed,
        parts.penalty,
        parts.credit,
        milliseconds(entry.duration),
        entry.submit_time,
        _SEPARATOR.join(map(_countable, entry.tokens)),
        milliseconds(entry.delivery_delay),
        milliseconds(entry.network_credit),
    )


def _countable(token: str) -> str:
    """Return a token that PostgreSQL can hold in an index, however long it is."""
    plain = token.replace(_SEPARATOR, "\ufffd")
    encoded = plain.encode()
    if len(encoded) <= _TOKEN_BYTES:
        return plain
    # Two long answers that begin alike must not count as one.
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    return encoded[:_TOKEN_BYTES].decode(errors="ignore") + "…" + digest


def _outcome(entry: Entry, row: Row, *, from_draft: bool) -> Outcome:
    verdict = Verdict(row["outcome"])
    if verdict is Verdict.BUSY:
        return _BUSY
    before = row["standing"]
    standing = None if before is None else standing_of(before)
    if verdict is Verdict.ACCEPTED:
        return Outcome(verdict, row["first_seq"], _accepted(entry, row, from_draft=from_draft), standing)
    if verdict is Verdict.ANSWERED:
        stored = response_of(row["stored"])
        if stored.submit_time == entry.submit_time and stored.answer == entry.answer:
            # It is this very entry: its first commit was not lost, only the word of it.
            verdict = Verdict.ACCEPTED
        return Outcome(verdict, row["first_seq"], stored, standing)
    return Outcome(verdict, standing=standing)


def _accepted(entry: Entry, row: Row, *, from_draft: bool) -> Response:
    parts, seat = entry.parts, entry.seat
    return Response(
        round_id=entry.round.round_id,
        participant_id=seat.participant_id,
        display_name=seat.display_name,
        seq=row["seq"],
        request_id=entry.request_id,
        answer=entry.answer,
        status=entry.grade.status,
        parts=ScoreParts(parts.base, parts.speed, row["streak_points"], parts.penalty, parts.credit),
        duration=entry.duration,
        delivery_delay=entry.delivery_delay,
        network_credit=entry.network_credit,
        submit_time=entry.submit_time,
        from_draft=from_draft,
        total_score=row["standing"]["score"] - row["standing"]["held_score"],
    )


def _draft_row(draft: Draft) -> tuple[object, ...]:
    """Return a draft as the database's type `draft_entry`."""
    seat, round_ = draft.seat, draft.round
    return (
        seat.session_id,
        round_.round_id,
        round_.revision,
        seat.participant_id,
        seat.generation,
        seat.display_name,
        draft.request_id,
        draft.fingerprint,
        draft.answer,
        draft.save_time,
    )
