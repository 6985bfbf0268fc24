"""What presence is told of a session: made of all the moves of its status."""

from datetime import UTC, datetime, timedelta

import pytest
from muster_session.model import Session, Settings, Status, StatusChange
from muster_session.model_reports import Phase, report_of

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def at(minute: int) -> datetime:
    """Return a time of the session."""
    return START + timedelta(minutes=minute)


def moved(*moves: tuple[Status, int]) -> tuple[Session, list[StatusChange]]:
    """Return a session that came to these statuses, by the minutes, and its history."""
    changes = []
    old: Status | None = None
    for status, minute in [(Status.DRAFT, -60), *moves]:
        changes.append(StatusChange(old_status=old, new_status=status, change_time=at(minute)))
        old = status
    session = Session(
        session_id="lesson",
        organization_id="school",
        host_user_id="tess",
        settings=Settings(title="Lesson"),
        create_time=at(-60),
        status=changes[-1].new_status,
    )
    return session, changes


def test_a_session_that_was_just_made_is_expected() -> None:
    report = report_of(*moved())
    assert (report.phase, report.active_spans, report.change_time) == (Phase.EXPECTED, [], at(-60))


def test_pauses_part_the_times_it_was_active() -> None:
    history = [
        (Status.WAITING, -5),
        (Status.ACTIVE, 0),
        (Status.PAUSED, 20),
        (Status.ACTIVE, 60),
        (Status.ENDED, 90),
    ]
    report = report_of(*moved(*history))
    assert report.active_spans == [(at(0), at(20)), (at(60), at(90))]
    assert (report.phase, report.change_time) == (Phase.ENDED, at(90))


def test_it_may_end_in_a_pause_or_still_run() -> None:
    paused = report_of(*moved((Status.ACTIVE, 0), (Status.PAUSED, 20), (Status.ENDED, 30)))
    assert paused.active_spans == [(at(0), at(20))]
    running = report_of(*moved((Status.ACTIVE, 0), (Status.PAUSED, 20), (Status.ACTIVE, 30)))
    assert (running.phase, running.active_spans) == (Phase.ACTIVE, [(at(0), at(20)), (at(30), None)])


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_phase(status: Status) -> None:
    assert report_of(*moved((status, 0))).phase in Phase
