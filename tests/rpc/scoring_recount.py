"""Counts everything anew from the stored answers, in another way than the service does."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muster_scoring.convert import Codec
from muster_scoring.grading import answer_tokens

from tests.rpc.scoring_game import Game

CORRECT, INCORRECT, PARTIAL = 2, 3, 4
CLOSED, CANCELLED = 3, 4

Counts = tuple[int, int, int, int, int, int]
"""Answers, correct, partial, incorrect, points, milliseconds."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a participant should stand."""

    counts: Counts
    held: tuple[int, int, int]
    reached_seq: int
    streak: int
    best_streak: int


@dataclass(frozen=True, slots=True)
class Recount:
    """What should be stored of a session."""

    session: Counts
    participant_count: int
    round_count: int
    rounds: Mapping[str, tuple[Counts, Mapping[str, int]]]
    participants: Mapping[str, Standing]


async def recount(game: Game) -> Recount:
    """Count from the rounds and their answers."""
    rounds = await game.scoring.rows("SELECT * FROM scoring.round WHERE session_id = $1", game.session_id)
    answers = await game.scoring.rows("SELECT * FROM scoring.response WHERE session_id = $1", game.session_id)
    counted = [each for each in rounds if each["status"] != CANCELLED]
    by_round: defaultdict[str, list[Any]] = defaultdict(list)
    by_participant: defaultdict[str, list[Any]] = defaultdict(list)
    for answer in answers:
        if any(each["round_id"] == answer["round_id"] for each in counted):
            by_round[answer["round_id"]].append(answer)
            by_participant[answer["participant_id"]].append(answer)
    return Recount(
        session=_counts([answer for found in by_round.values() for answer in found]),
        participant_count=len(by_participant),
        round_count=len(counted),
        rounds={each["round_id"]: _round(each, by_round[each["round_id"]]) for each in rounds},
        participants={name: _standing(own, counted) for name, own in by_participant.items()},
    )


async def stored(game: Game) -> Recount:
    """What is stored."""
    (session,) = await game.scoring.rows(
        "SELECT * FROM scoring.session WHERE session_id = $1", game.session_id
    )
    rounds = await game.scoring.rows("SELECT * FROM scoring.round WHERE session_id = $1", game.session_id)
    tokens = await game.scoring.rows(
        "SELECT c.* FROM scoring.round_answer_count AS c JOIN scoring.round USING (round_id) "
        "WHERE session_id = $1",
        game.session_id,
    )
    distributions: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in tokens:
        distributions[row["round_id"]][row["answer"]] = row["count"]
    participants = await game.scoring.rows(
        "SELECT * FROM scoring.participant WHERE session_id = $1 AND response_count > 0", game.session_id
    )
    return Recount(
        session=_stored_counts(session, "score_total"),
        participant_count=session["participant_count"],
        round_count=session["round_count"],
        rounds={
            row["round_id"]: (_stored_counts(row, "score_total"), distributions[row["round_id"]])
            for row in rounds
        },
        participants={
            row["participant_id"]: Standing(
                counts=_stored_counts(row, "score"),
                held=(row["held_count"], row["held_score"], row["held_duration_ms"]),
                reached_seq=row["reached_seq"],
                streak=row["streak"],
                best_streak=row["best_streak"],
            )
            for row in participants
        },
    )


def _stored_counts(row: Any, score: str) -> Counts:
    names = ("response_count", "correct_count", "partial_count", "incorrect_count", score, "duration_ms")
    counts: Any = tuple(row[name] for name in names)
    return counts


def _counts(answers: Sequence[Any]) -> Counts:
    statuses = Counter(answer["status"] for answer in answers)
    return (
        len(answers),
        statuses[CORRECT],
        statuses[PARTIAL],
        statuses[INCORRECT],
        sum(answer["score"] for answer in answers),
        sum(answer["duration_ms"] for answer in answers),
    )


def _round(round_: Any, answers: Sequence[Any]) -> tuple[Counts, Mapping[str, int]]:
    tokens: Counter[str] = Counter()
    codec = Codec()
    key = codec.read_key(round_["answer_key"])
    for answer in answers:
        tokens.update(answer_tokens(key, codec.read_answer(answer["answer"])))
    return _counts(answers), dict(tokens)


def _standing(answers: Sequence[Any], rounds: Sequence[Any]) -> Standing:
    by_round = {answer["round_id"]: answer for answer in answers}
    held: list[Any] = []
    marks: list[tuple[int, int, bool | None]] = []
    for round_ in rounds:
        answer = by_round.get(round_["round_id"])
        is_closed = round_["status"] == CLOSED
        if answer is None:
            if is_closed and round_["graded"]:
                marks.append((round_["close_seq"], 0, False))
        elif round_["withheld"] and not is_closed:
            held.append(answer)
        else:
            when = round_["close_seq"] if round_["withheld"] else answer["seq"]
            graded = answer["status"] in (CORRECT, INCORRECT, PARTIAL)
            marks.append((when, answer["seq"], answer["status"] == CORRECT if graded else None))
    streak, best = _streaks([is_right for _, _, is_right in sorted(marks) if is_right is not None])
    shown = [seq for _, seq, _ in sorted(marks) if seq]
    moved = [seq for seq in shown if next(each for each in answers if each["seq"] == seq)["score"]]
    return Standing(
        counts=_counts(answers),
        held=(len(held), sum(each["score"] for each in held), sum(each["duration_ms"] for each in held)),
        reached_seq=(moved[-1:] or shown[:1] or [0])[0],
        streak=streak,
        best_streak=best,
    )


def _streaks(marks: Sequence[bool]) -> tuple[int, int]:
    streak = best = 0
    for is_right in marks:
        streak = streak + 1 if is_right else 0
        best = max(best, streak)
    return streak, best
