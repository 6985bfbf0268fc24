"""Boards that services make, and the scores that they are fed with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from muster_scoring.model_board import BoardChanges, floor_line


class Operator(IntEnum):
    """How a score changes an entry; the numbers are those of the contract."""

    BEST = 1
    SET = 2
    INCREMENT = 3


class ResetSchedule(IntEnum):
    """When a board starts over by itself, always at midnight in UTC; the numbers are the contract's."""

    NEVER = 0
    DAILY = 1
    WEEKLY = 2
    MONTHLY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBoard:
    """A board to make; no times mean that it takes scores always."""

    board_id: str
    title: str
    operator: Operator
    ascending: bool
    reset_schedule: ResetSchedule
    open_time: datetime | None
    close_time: datetime | None
    team_board_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoreboard:
    """A board and how far it has come.

    Its changes are numbered; `seq` is the last. Only what changed after `floor_seq` is on it: with each
    season, and when it is made again after it was deleted, it begins anew.
    """

    board_id: str
    organization_id: str
    title: str
    operator: Operator
    ascending: bool
    reset_schedule: ResetSchedule
    open_time: datetime | None
    close_time: datetime | None
    team_board_id: str
    create_time: datetime
    season: int
    season_end: datetime | None
    seq: int
    floor_seq: int

    def season_is_over(self, now: datetime) -> bool:
        """Whether the board has yet to begin anew, which whoever comes first sees to."""
        return self.season_end is not None and self.season_end <= now

    def beginning(self) -> BoardChanges:
        """Return the change with which it last began anew."""
        floor = self.floor_seq
        return BoardChanges(self.board_id, floor - 1, floor, (floor_line(floor),))


class Score(NamedTuple):
    """A score to add; `request_key` is empty when it promises nothing, as is `team_id` without a team.

    `fingerprint` tells requests with the same key apart.
    """

    entry_id: str
    display_name: str
    team_id: str
    score: int
    duration_ms: int
    request_key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class ScoreUnit:
    """Scores of one board, of which all count or none.

    `organization_id` is empty for whoever may add to the boards of all.
    """

    board_id: str
    organization_id: str
    request_key: str
    fingerprint: bytes
    wants_results: bool
    scores: Sequence[Score]


class ScoreVerdict(IntEnum):
    """What the store did with a unit."""

    ACCEPTED = 1
    REPEATED = 2
    NO_BOARD = 3
    CLOSED = 4
    SESSIONS_BOARD = 5
    KEY_REUSED = 6


class EntryShown(NamedTuple):
    """What is shown of an entry, without its place."""

    entry_id: str
    display_name: str
    score: int
    duration_ms: int
    submission_count: int
