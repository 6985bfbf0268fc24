"""The status machine of a session: every pair of status and verb, and what a move brings along."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from muster_kit.errors import MusterError, Reason
from muster_session.model import LIVE, MOVES, NOT_STARTED, OVER, Session, Settings, Status, Verb

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

DRAFT = Session(
    session_id="session",
    organization_id="north",
    host_user_id="ana",
    settings=Settings(title="Geography"),
    create_time=NOW - timedelta(days=1),
)

# Written out a second time, in another form than the table in the code: a line a status.
LEGAL = {
    "draft": {"schedule": "scheduled", "open_lobby": "waiting", "cancel": "cancelled"},
    "scheduled": {"schedule": "scheduled", "open_lobby": "waiting", "cancel": "cancelled"},
    "waiting": {"start": "active", "cancel": "cancelled"},
    "active": {"pause": "paused", "end": "ended"},
    "paused": {"resume": "active", "end": "ended"},
    "ended": {},
    "cancelled": {},
}


def in_status(status: Status) -> Session:
    return replace(DRAFT, status=status, join_code="ABC234" if status in LIVE else "")


@pytest.mark.parametrize(("status", "verb"), list(product(Status, Verb)))
def test_every_pair_of_status_and_verb(status: Status, verb: Verb) -> None:
    session = in_status(status)
    expected = LEGAL[status].get(verb)
    if expected is None:
        with pytest.raises(MusterError) as refused:
            session.after(verb, NOW)
        assert refused.value.reason is Reason.SESSION_STATUS
    else:
        assert session.after(verb, NOW).status == expected


def test_the_table_has_no_move_that_is_not_drawn() -> None:
    drawn = {(status, verb): after for status, moves in LEGAL.items() for verb, after in moves.items()}
    assert {(str(status), str(verb)): str(after) for (status, verb), after in MOVES.items()} == drawn


def test_statuses_are_before_the_start_or_live_or_over() -> None:
    assert set(Status) == NOT_STARTED | LIVE | OVER
    assert not (LIVE | NOT_STARTED) & OVER


def test_a_session_that_is_over_can_do_nothing() -> None:
    assert not [pair for pair in MOVES if pair[0] in OVER]


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.PAUSED])
def test_the_end_gives_the_code_back(status: Status) -> None:
    ended = in_status(status).after(Verb.END, NOW)
    assert (ended.join_code, ended.end_time) == ("", NOW)


def test_calling_off_gives_the_code_back() -> None:
    cancelled = in_status(Status.WAITING).after(Verb.CANCEL, NOW)
    assert (cancelled.join_code, cancelled.end_time) == ("", NOW)


def test_resuming_keeps_the_time_of_the_first_start() -> None:
    started = in_status(Status.WAITING).after(Verb.START, NOW)
    paused = started.after(Verb.PAUSE, NOW + timedelta(minutes=1))
    assert paused.after(Verb.RESUME, NOW + timedelta(minutes=2)).start_time == NOW


def test_pausing_keeps_the_code() -> None:
    assert in_status(Status.ACTIVE).after(Verb.PAUSE, NOW).join_code == "ABC234"


@pytest.mark.parametrize(("expected", "stale"), [(0, False), (1, False), (2, True)])
def test_a_stale_revision_is_refused(expected: int, stale: bool) -> None:
    if not stale:
        DRAFT.require_revision(expected)
        return
    with pytest.raises(MusterError) as refused:
        DRAFT.require_revision(expected)
    assert refused.value.reason is Reason.REVISION_STALE
