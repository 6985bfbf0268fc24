"""Sessions, rounds, answers and standings as scoring knows them; what may happen to a round."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from muster_kit.errors import MusterError, Reason
from muster_kit.records import record

from muster_scoring.model_answers import AnswerKey, Grade, ResponseStatus
from muster_scoring.points import Feedback, ScoreParts, ScoringRules

GRACE: Final = timedelta(milliseconds=250)
"""An answer this long after the deadline is in time: it was on its way when the clock ran out.

As long before the opening: the clocks of two workers differ a little.
"""

MILLISECOND: Final = timedelta(milliseconds=1)


class RoundStatus(IntEnum):
    """Where a round stands; the numbers are those of the contract."""

    OPEN = 1
    PAUSED = 2
    CLOSED = 3
    CANCELLED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session and its totals, kept with every answer.

    `seq` is the number of its last change of any kind; `score_total` and `duration` are sums.
    """

    session_id: str
    organization_id: str
    host_user_id: str
    create_time: datetime
    seq: int
    opened_count: int = 0
    round_count: int = 0
    participant_count: int = 0
    response_count: int = 0
    correct_count: int = 0
    partial_count: int = 0
    incorrect_count: int = 0
    score_total: int = 0
    duration: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One block opened for answers.

    `revision` grows with every change but those of its counts: whoever graded an answer by another
    revision has to look again. `time_left` and `pause_time` are set while it is paused; `paused` is
    the sum of its past pauses.
    """

    round_id: str
    session_id: str
    organization_id: str
    block_id: str
    ordinal: int
    status: RoundStatus
    revision: int
    open_time: datetime
    close_time: datetime | None
    time_limit: timedelta | None
    time_left: timedelta | None = None
    pause_time: datetime | None = None
    paused: timedelta = timedelta()
    key: AnswerKey
    rules: ScoringRules

    @property
    def is_running(self) -> bool:
        """Whether it is open, or will be again."""
        return self.status in (RoundStatus.OPEN, RoundStatus.PAUSED)

    @property
    def withholds_feedback(self) -> bool:
        """Whether a participant may not know yet what an answer was worth."""
        # What a cancelled round would have been worth is never told.
        return self.status is not RoundStatus.CLOSED and self.rules.feedback is Feedback.ON_CLOSE

    def takes_answers(self, received_time: datetime) -> bool:
        """Whether an answer that arrived then is in time."""
        if self.status is not RoundStatus.OPEN or received_time < self.open_time - GRACE:
            return False
        return self.close_time is None or received_time <= self.close_time + GRACE

    def elapsed(self, at: datetime) -> timedelta:
        """Time since the opening, in whole milliseconds, without pauses and never below zero."""
        until = at if self.pause_time is None else min(at, self.pause_time)
        elapsed = max(timedelta(), until - self.open_time - self.paused)
        return elapsed // MILLISECOND * MILLISECOND

    def pause(self, at: datetime) -> "Round":
        """The clock stops; what is left of the time is kept."""
        left = None if self.close_time is None else max(timedelta(), self.close_time - at)
        return self._changed(status=RoundStatus.PAUSED, pause_time=at, time_left=left, close_time=None)

    def resume(self, at: datetime) -> "Round":
        """The clock goes on with what was left; raises ROUND_CLOSED when it is not paused."""
        if self.status is not RoundStatus.PAUSED or self.pause_time is None:
            raise MusterError(Reason.ROUND_CLOSED, detail="not paused")
        if at < self.pause_time:
            # A repetition of the resume before this pause, which was long on its way.
            return self
        return self._changed(
            status=RoundStatus.OPEN,
            paused=self.paused + max(timedelta(), at - self.pause_time),
            pause_time=None,
            close_time=None if self.time_left is None else at + self.time_left,
            time_left=None,
        )

    def close(self, at: datetime) -> "Round":
        """It is over; raises ROUND_CLOSED when it was cancelled."""
        if not self.is_running:
            raise MusterError(Reason.ROUND_CLOSED, detail=f"closing a {self.status.name} round")
        close_time = at if self.close_time is None else min(at, self.close_time)
        return self._changed(status=RoundStatus.CLOSED, close_time=close_time, time_left=None)

    def cancel(self) -> "Round":
        """It never was."""
        return self._changed(status=RoundStatus.CANCELLED, close_time=None, time_left=None)

    def _changed(self, **changes: object) -> "Round":
        return replace(self, revision=self.revision + 1, **changes)  # type: ignore[arg-type]


@record(kw_only=True)
class Seat:
    """Who answers: the holder of a ticket of a `generation`, or who a service speaks for, without one."""

    session_id: str
    participant_id: str
    organization_id: str
    generation: int | None
    display_name: str


@record(kw_only=True)
class Entry:
    """A graded answer on its way to the store; `parts` has no points for the streak yet.

    `answer` is the contract's message, `tokens` what the distribution counts.
    """

    seat: Seat
    round: Round
    request_id: str
    answer: bytes
    tokens: Sequence[str]
    grade: Grade
    parts: ScoreParts
    duration: timedelta
    delivery_delay: timedelta = timedelta()
    network_credit: timedelta = timedelta()
    submit_time: datetime


@record(kw_only=True)
class Response:
    """A stored answer. `total_score` is the sum of the participant's points shown right after it.

    `duration`, `delivery_delay` and `network_credit` are together the time since the opening.
    """

    round_id: str
    participant_id: str
    display_name: str
    seq: int
    request_id: str
    answer: bytes
    status: ResponseStatus
    parts: ScoreParts
    duration: timedelta
    delivery_delay: timedelta
    network_credit: timedelta
    submit_time: datetime
    from_draft: bool
    total_score: int


@record(kw_only=True)
class Standing:
    """One participant in one session, as of the session's change `version`.

    `held_*` is the part of answers whose feedback is withheld: it is not shown yet, and neither the
    streaks nor `reached_seq`, the change with which the shown score was reached, know of it.
    """

    participant_id: str
    display_name: str
    minimum_generation: int
    hidden: bool
    version: int
    reached_seq: int
    score: int
    duration: timedelta
    response_count: int
    correct_count: int
    partial_count: int
    incorrect_count: int
    streak: int
    best_streak: int
    held_score: int = 0
    held_duration: timedelta = timedelta()
    held_count: int = 0

    @property
    def is_on_board(self) -> bool:
        """Whether it has a place: there are answers to show, and it is not hidden."""
        return self.response_count > self.held_count and not self.hidden


@record(kw_only=True)
class Changes:
    """What one commit changed in a session: all its changes after `first_seq` up to `last_seq`."""

    session_id: str
    organization_id: str
    first_seq: int
    last_seq: int
    standings: tuple[Standing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer not submitted yet; `fingerprint` tells its request from others with the same id."""

    seat: Seat
    round: Round
    request_id: str
    fingerprint: bytes
    answer: bytes
    save_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedDraft:
    """A draft as it was found when its round closed."""

    participant_id: str
    display_name: str
    generation: int
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStats:
    """What is known of the answers to one round; `duration` and `score_total` are sums."""

    round_id: str
    block_id: str
    status: RoundStatus
    response_count: int
    correct_count: int
    partial_count: int
    incorrect_count: int
    score_total: int
    duration: timedelta
    change_seq: int
    distribution: tuple[tuple[str, int], ...] = ()
