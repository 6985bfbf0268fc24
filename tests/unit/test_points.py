"""Points: the parts add up, speed and streak behave, the bounds hold."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_scoring.model_answers import Grade, ResponseStatus
from muster_scoring.points import PartialCredit, ScoringRules, score, streak_points

LIMIT = timedelta(seconds=20)
CORRECT = Grade(ResponseStatus.CORRECT, 1.0)
WRONG = Grade(ResponseStatus.INCORRECT, 0.0)
points = st.integers(0, 100_000)
rules_strategy = st.builds(
    ScoringRules,
    base_points=points,
    speed_bonus=points,
    wrong_penalty=points,
    streak_step=points,
    streak_maximum=points,
    partial_credit=st.sampled_from(PartialCredit),
    multiplier=st.integers(1, 10),
)
grades = st.sampled_from([CORRECT, WRONG, Grade(ResponseStatus.SUBMITTED, 0.0)]) | st.floats(0.01, 0.99).map(
    lambda credit: Grade(ResponseStatus.PARTIAL, credit)
)
elapsed_times = st.timedeltas(timedelta(), timedelta(seconds=40))


@given(rules=rules_strategy, grade=grades, elapsed=elapsed_times, streak=st.integers(0, 50))
def test_the_parts_stay_within_the_rules(
    rules: ScoringRules, grade: Grade, elapsed: timedelta, streak: int
) -> None:
    parts = score(grade, rules, elapsed=elapsed, limit=LIMIT, streak=streak)
    assert parts.total == parts.base + parts.speed + parts.streak + parts.penalty
    assert 0 <= parts.base <= rules.multiplier * rules.base_points
    assert 0 <= parts.speed <= rules.multiplier * rules.speed_bonus
    assert -rules.multiplier * rules.wrong_penalty <= parts.penalty <= 0
    if grade.status is not ResponseStatus.CORRECT:
        assert parts.streak == 0
    if grade.status is not ResponseStatus.INCORRECT:
        assert parts.penalty == 0


@given(rules=rules_strategy, grade=grades, first=elapsed_times, second=elapsed_times)
def test_who_is_faster_never_gets_less(
    rules: ScoringRules, grade: Grade, first: timedelta, second: timedelta
) -> None:
    fast, slow = sorted([first, second])
    faster = score(grade, rules, elapsed=fast, limit=LIMIT, streak=0)
    slower = score(grade, rules, elapsed=slow, limit=LIMIT, streak=0)
    assert faster.total >= slower.total


@given(rules=rules_strategy, streak=st.integers(0, 100))
def test_a_longer_streak_never_gives_less_and_keeps_its_bound(rules: ScoringRules, streak: int) -> None:
    assert streak_points(rules, streak) <= streak_points(rules, streak + 1)
    assert streak_points(rules, 0) == 0
    if rules.streak_maximum:
        assert streak_points(rules, streak) <= rules.multiplier * rules.streak_maximum


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, 1500), (10, 1250), (20, 1000), (25, 1000)],
    ids=["at once", "half", "end", "late"],
)
def test_speed_falls_linearly_to_the_deadline(seconds: int, expected: int) -> None:
    rules = ScoringRules(base_points=1000, speed_bonus=500)
    assert score(CORRECT, rules, elapsed=timedelta(seconds=seconds), limit=LIMIT, streak=0).total == expected


def test_without_a_limit_there_is_no_speed_bonus() -> None:
    rules = ScoringRules(base_points=1000, speed_bonus=500)
    assert score(CORRECT, rules, elapsed=timedelta(), limit=None, streak=0).total == 1000


def test_double_points_double_everything() -> None:
    single = ScoringRules(base_points=300, speed_bonus=100, wrong_penalty=50, streak_step=10)
    double = ScoringRules(base_points=300, speed_bonus=100, wrong_penalty=50, streak_step=10, multiplier=2)
    for grade in (CORRECT, WRONG):
        once = score(grade, single, elapsed=timedelta(seconds=5), limit=LIMIT, streak=3)
        twice = score(grade, double, elapsed=timedelta(seconds=5), limit=LIMIT, streak=3)
        assert twice.total == 2 * once.total


def test_partial_answers_are_worth_nothing_where_the_rules_say_so() -> None:
    half = Grade(ResponseStatus.PARTIAL, 0.5)
    rules = ScoringRules(base_points=1000, speed_bonus=500, partial_credit=PartialCredit.NONE)
    parts = score(half, rules, elapsed=timedelta(), limit=LIMIT, streak=0)
    assert (parts.total, parts.credit) == (0, 0.5)
