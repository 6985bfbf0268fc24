"""Of which moves people are told, and how what is left to tell is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from muster_session.model import MOVES, Session, Settings, Status, Verb
from muster_session.model_notices import Farewell, Stage, Start, Telling, start_of, to_tell

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def session(*, seats: int = 0, class_ids: tuple[str, ...] = ()) -> Session:
    """Return a session with so many seats, for classes."""
    return Session(
        session_id="s",
        organization_id="o",
        host_user_id="host",
        settings=Settings(title="Lesson", class_ids=class_ids),
        create_time=NOW,
        seat_count=seats,
    )


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("after", ["", "user", "a user with spaces"])
def test_what_is_left_to_tell_is_kept_whole(stage: Stage, after: str) -> None:
    telling = Telling(stage, NOW, after)
    assert Telling.decode(telling.encode()) == telling


@pytest.mark.parametrize("user_ids", [[], ["a", 'quoted " and \\', "ü"]])
def test_a_farewell_is_kept_whole(user_ids: list[str]) -> None:
    start = Start(session_id="s", title='A "title"\n', stage=Stage.CANCELLED, stage_time=NOW)
    farewell = Farewell(start, user_ids)
    assert Farewell.decode(farewell.encode()) == farewell
    assert Farewell.decode(farewell.behind(1).encode()).user_ids == user_ids[1:]


def test_who_is_told_of_a_schedule_is_told_when_it_opens() -> None:
    opens = NOW + timedelta(hours=1)
    planned = replace(session(), scheduled_time=opens)
    assert start_of(planned, Telling(Stage.SCHEDULED, NOW)).stage_time == opens
    assert start_of(planned, Telling(Stage.STARTED, NOW)).stage_time == NOW


def test_each_move_is_told_but_pauses_and_drafts_that_were_given_up() -> None:
    told = {
        (old, verb): telling.stage
        for old, verb in MOVES
        if (telling := to_tell(session(class_ids=("c",)), verb, old, NOW)) is not None
    }
    assert {move for move in MOVES if move not in told} == {
        (Status.DRAFT, Verb.CANCEL),
        (Status.ACTIVE, Verb.PAUSE),
        (Status.PAUSED, Verb.RESUME),
    }
    assert told[Status.WAITING, Verb.START] is Stage.STARTED
    assert told[Status.PAUSED, Verb.END] is Stage.ENDED


@pytest.mark.parametrize(("seats", "is_told"), [(0, False), (1, True)])
def test_nothing_is_told_where_nobody_belongs(seats: int, is_told: bool) -> None:
    told = to_tell(session(seats=seats), Verb.START, Status.WAITING, NOW)
    assert (told is not None) is is_told


def test_the_end_is_told_also_when_all_have_left() -> None:
    assert to_tell(session(), Verb.END, Status.ACTIVE, NOW) == Telling(Stage.ENDED, NOW)
