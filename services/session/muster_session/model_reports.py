"""What presence is told of a session: where it stands, and when it was active; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from muster_session.model import Session, Status, StatusChange

REPORT_DEADLINE: Final = "report"
"""Presence has to be told where the session stands: of several changes the last, with all that led to it."""


class Phase(StrEnum):
    """Where a session stands, as far as presence needs to know."""

    EXPECTED = "expected"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    CANCELLED = "cancelled"


_PHASES: Final[Mapping[Status, Phase]] = MappingProxyType(
    {
        Status.DRAFT: Phase.EXPECTED,
        Status.SCHEDULED: Phase.EXPECTED,
        Status.WAITING: Phase.EXPECTED,
        Status.ACTIVE: Phase.ACTIVE,
        Status.PAUSED: Phase.PAUSED,
        Status.ENDED: Phase.ENDED,
        Status.CANCELLED: Phase.CANCELLED,
    }
)

ActiveSpan = tuple[datetime, datetime | None]
"""From when to when; None while it lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that presence is told of a session."""

    session: Session
    phase: Phase
    change_time: datetime
    active_spans: Sequence[ActiveSpan]


def report_of(session: Session, changes: Iterable[StatusChange]) -> Report:
    """Return the report of a session whose status made these moves, oldest first."""
    spans: list[ActiveSpan] = []
    change_time = session.create_time
    for change in changes:
        change_time = change.change_time
        if change.new_status is Status.ACTIVE:
            spans.append((change_time, None))
        elif spans and spans[-1][1] is None:
            spans[-1] = spans[-1][0], change_time
    return Report(session=session, phase=_PHASES[session.status], change_time=change_time, active_spans=spans)
