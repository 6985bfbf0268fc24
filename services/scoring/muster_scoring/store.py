"""What scoring keeps, and the guarantees that the rest of the service builds on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from muster_kit.records import record

from muster_scoring.model import (
    Draft,
    Entry,
    Response,
    Round,
    RoundStats,
    SavedDraft,
    Session,
    Standing,
)
from muster_scoring.model_answers import Answer, AnswerKey
from muster_scoring.model_board import Position
from muster_scoring.points import ScoringRules
from muster_scoring.store_boards import RankedStandings


class Verdict(IntEnum):
    """What the store did with an answer or a draft."""

    ACCEPTED = 1
    ANSWERED = 2
    STALE = 3
    REVOKED = 4
    REPEATED = 5
    BUSY = 6


@record
class Outcome:
    """What became of an entry.

    ACCEPTED: `response` is new. ANSWERED: it is the one that counts, submitted before. STALE: the
    round is not what the entry was graded by, so nothing is known. REVOKED: the seat's ticket no
    longer counts. BUSY: the session is locked, nothing was done. `standing` is the participant's after
    it, or the present one. `first_seq` is the session's change before the batch.
    """

    verdict: Verdict
    first_seq: int = 0
    response: Response | None = None
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class DraftOutcome:
    """What became of a draft. REPEATED: it is of a request that is known, with this `fingerprint`."""

    verdict: Verdict
    save_time: datetime
    fingerprint: bytes | None = None


class ResponseStore(Protocol):
    """Takes answers of any session, many at once."""

    async def submit(self, entries: Sequence[Entry], *, wait: bool) -> Sequence[Outcome | BaseException]:
        """Store answers with everything that follows from them, durably, in one transaction.

        One answer of a participant to a round counts: the first. Streaks and totals of round,
        participant and session are exact when this returns. It waits for a change of the round
        that is under way, and sees it; told not to `wait`, it takes answers to sessions that are being
        changed for BUSY. One call that does not wait is made at a time, of the others as many as want.
        Each (round, participant) comes at most once a call. The same entry may be given twice, as after
        a lost connection: it is ACCEPTED both times, and counts once. An exception in the place of an
        outcome concerns that entry alone; raises UNAVAILABLE.
        """
        ...

    async def save_drafts(self, drafts: Sequence[Draft]) -> Sequence[DraftOutcome | BaseException]:
        """Keep drafts, each in place of the one before it; refused ones change nothing.

        A draft that is ACCEPTED is seen by whoever closes its round later. ANSWERED: the participant
        has submitted already. Each (round, participant) comes at most once a call.
        """
        ...


class RoundReader(Protocol):
    """Reads rounds by their id; NOT_FOUND is for the caller to say."""

    async def read_round(self, organization_id: str, round_id: str) -> Round | None:
        """Return the round as last committed; None when the organization has no such round."""
        ...


class Ledger(Protocol):
    """A session's rounds, seats and totals inside one transaction that holds the session's lock.

    Nobody else writes the session meanwhile, nor does any answer or draft come in.
    """

    @property
    def now(self) -> datetime:
        """The database's time when the transaction began."""
        ...

    async def lock_session(self, session_id: str) -> Session | None:
        """Take the session's lock and return it; None when the organization has none of that id."""
        ...

    async def make_session(self, session_id: str, host_user_id: str = "") -> Session:
        """Return the session, made if it is not there, with its lock taken; sets the host, if given.

        Raises NOT_FOUND when the id belongs to another organization, ALREADY_EXISTS when it is that of
        a board that a service made.
        """
        ...

    async def round(self, round_id: str) -> Round | None:
        """Return a round of the organization."""
        ...

    async def rounds(self, session_id: str) -> Sequence[Round]:
        """Return the session's rounds in the order of opening."""
        ...

    async def add_round(self, round_: Round, seq: int, *, answer_key: bytes, rules: bytes) -> None:
        """Store a new round, as the session's change `seq`."""
        ...

    async def save_round(self, round_: Round, seq: int) -> None:
        """Store what became of a round, as the session's change `seq`."""
        ...

    async def drafts(self, round_id: str) -> Sequence[SavedDraft]:
        """Return the drafts of those who have not answered the round."""
        ...

    async def submit(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """Store the answers made from drafts, like `ResponseStore.submit`."""
        ...

    async def settle(self, round_: Round, seq: int) -> Sequence[Standing]:
        """Show what was held of a round's answers, and end the streaks of those who gave none.

        These are changes after `seq`. Returns the standings that changed.
        """
        ...

    async def take_back(self, round_: Round, seq: int) -> Sequence[Standing]:
        """Take a round's answers out of every total, as changes after `seq`; return the standings."""
        ...

    async def update_seat(
        self, session_id: str, participant_id: str, *, minimum_generation: int, hidden: bool, seq: int
    ) -> Standing:
        """Store a seat's settings; the lowest generation never goes down. Return its standing."""
        ...

    async def remove_session(self, session_id: str) -> None:
        """Delete a session with its rounds, answers, drafts, counts and participants."""
        ...

    async def advance(self, session_id: str, seq: int, *, opened: int = 0, cancelled: int = 0) -> None:
        """Note the session's last change, and count rounds that were opened or cancelled."""
        ...

    async def stats(self, round_id: str) -> RoundStats:
        """Return what is known of a round's answers."""
        ...


@dataclass(frozen=True, slots=True)
class ResponseFilter:
    """Which answers of a session are wanted; empty fields want all. Those of cancelled rounds never are."""

    session_id: str
    round_id: str = ""
    participant_id: str = ""


@dataclass(frozen=True, slots=True)
class FoundResponse:
    """An answer, and what of its round tells how to show it; `is_withheld` from participants."""

    response: Response
    block_id: str
    is_withheld: bool


class ResultStore(Protocol):
    """Reads what became of answers, each call at one point in time."""

    async def session(self, organization_id: str, session_id: str) -> Session | None:
        """Return the session with its totals; None when the organization has none of that id."""
        ...

    async def responses(
        self, organization_id: str, wanted: ResponseFilter, *, after_seq: int, limit: int
    ) -> Sequence[FoundResponse]:
        """Return answers in the order they were taken, after the change `after_seq`."""
        ...

    async def newest_responses(
        self, organization_id: str, session_id: str, *, after_seq: int, until_seq: int, limit: int
    ) -> Sequence[FoundResponse]:
        """Return the last answers after the change `after_seq` up to `until_seq`, newest last."""
        ...

    async def response(self, organization_id: str, round_id: str, participant_id: str) -> Response | None:
        """Return a participant's answer to a round."""
        ...

    async def stats(
        self, organization_id: str, session_id: str, *, after_seq: int = 0
    ) -> Sequence[RoundStats]:
        """Return the rounds that changed after `after_seq`, in order of opening.

        Each has its 100 most frequent answers.
        """
        ...

    async def round_stats(self, organization_id: str, round_id: str) -> RoundStats | None:
        """Return the counts of one round; None when the organization has none of that id."""
        ...

    async def standings(
        self, organization_id: str, session_id: str, *, since_seq: int, after: str, limit: int
    ) -> tuple[int, Sequence[Standing]]:
        """Return the session's last change, and as of it who changed after `since_seq`.

        They come in the order of ids, from `after` on; (0, none) when the organization has no such session.
        """
        ...

    async def results(
        self, organization_id: str, session_id: str, *, after: tuple[bool, Position] | None, limit: int
    ) -> Sequence[tuple[int, Standing]]:
        """Return (rank, standing) of everybody who answered, best first.

        Those who are not on the board come at the end, with rank 0. `after` is where the last page
        ended: whether its last one was not on the board, and where it stood.
        """
        ...

    async def ranked_page(
        self, organization_id: str, session_id: str, *, after: Position | None, limit: int
    ) -> RankedStandings:
        """Return who stands after a position of the board, from the best."""
        ...

    async def ranked_around(
        self, organization_id: str, session_id: str, participant_id: str, *, radius: int
    ) -> RankedStandings:
        """Return a participant with the neighbours on the board; nobody when they are not on it."""
        ...

    async def heads(self, session_ids: Collection[str]) -> Mapping[str, int]:
        """Return the last change of each session, of whatever organization."""
        ...


class AnswerCodec(Protocol):
    """Turns what is stored as bytes into values and back."""

    def read_answer(self, data: bytes) -> Answer:
        """Return an answer."""
        ...

    def read_key(self, data: bytes) -> AnswerKey:
        """Return an answer key."""
        ...

    def read_rules(self, data: bytes) -> ScoringRules:
        """Return scoring rules."""
        ...
