"""Turns a grade into points by a session's rules; `docs/scoring.md` explains the formulas."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import floor
from typing import Final

from muster_kit.records import record

from muster_scoring.model_answers import Grade, ResponseStatus

RULE_VERSION: Final = 1
"""Stored with every answer; grows when a formula below changes."""


class PartialCredit(StrEnum):
    """What a partly right answer is worth."""

    PROPORTIONAL = "proportional"
    NONE = "none"


class Feedback(StrEnum):
    """When a participant is told whether the answer was right."""

    AT_ONCE = "at_once"
    ON_CLOSE = "on_close"


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """How an answer becomes points; all points are whole and not negative."""

    base_points: int = 1000
    speed_bonus: int = 0
    wrong_penalty: int = 0
    streak_step: int = 0
    streak_maximum: int = 0
    partial_credit: PartialCredit = PartialCredit.PROPORTIONAL
    multiplier: int = 1
    feedback: Feedback = Feedback.AT_ONCE


@record
class ScoreParts:
    """The points of one answer by origin; `penalty` is zero or negative, `credit` 0 to 1."""

    base: int
    speed: int
    streak: int
    penalty: int
    credit: float
    rule_version: int = RULE_VERSION

    @property
    def total(self) -> int:
        """The score of the answer."""
        return self.base + self.speed + self.streak + self.penalty


def score(
    grade: Grade, rules: ScoringRules, *, elapsed: timedelta, limit: timedelta | None, streak: int
) -> ScoreParts:
    """Points of an answer.

    `elapsed` is the time from opening to answer, `limit` the time limit of the round (none: no speed
    bonus), `streak` the right answers in a row before this one.
    """
    credit = _counted_credit(grade, rules)
    return ScoreParts(
        base=rules.multiplier * _round_half_up(credit * rules.base_points),
        speed=rules.multiplier * _round_half_up(credit * rules.speed_bonus * _speed(elapsed, limit)),
        streak=streak_points(rules, streak) if grade.status is ResponseStatus.CORRECT else 0,
        penalty=-rules.multiplier * rules.wrong_penalty if grade.status is ResponseStatus.INCORRECT else 0,
        credit=grade.credit,
    )


def streak_points(rules: ScoringRules, streak: int) -> int:
    """Points for the next right answer after `streak` right answers in a row."""
    points = rules.streak_step * streak
    if rules.streak_maximum:
        points = min(points, rules.streak_maximum)
    return rules.multiplier * points


def _counted_credit(grade: Grade, rules: ScoringRules) -> float:
    if grade.status is ResponseStatus.PARTIAL and rules.partial_credit is PartialCredit.NONE:
        return 0.0
    return grade.credit


def _speed(elapsed: timedelta, limit: timedelta | None) -> float:
    """1 at the opening, 0 at the deadline, linear between."""
    if not limit:
        return 0.0
    return min(1.0, max(0.0, 1 - elapsed / limit))


def _round_half_up(points: float) -> int:
    return floor(points + 0.5)
