"""What people are told of a session they belong to, and when; pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from muster_session.model import Session, Status, Verb

NOTICE_DEADLINE: Final = "notice"
"""Someone has to be told where the session stands; of several moves the last is told."""

FAREWELL_DEADLINE: Final = "farewell"
"""The same of a session that has been removed, with all that is needed for it."""

TOLD_WITHIN: Final = timedelta(days=1)
"""What could not be told for so long is no news any more."""


class Stage(StrEnum):
    """What people are told."""

    SCHEDULED = "scheduled"
    OPEN = "open"
    STARTED = "started"
    ENDED = "ended"
    CANCELLED = "cancelled"


_STAGES: Final[Mapping[Verb, Stage]] = MappingProxyType(
    {
        Verb.SCHEDULE: Stage.SCHEDULED,
        Verb.OPEN_LOBBY: Stage.OPEN,
        Verb.START: Stage.STARTED,
        Verb.END: Stage.ENDED,
        Verb.CANCEL: Stage.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class Telling:
    """What there is to tell since `time`; users are told in order of their ids, those up to `after` know."""

    stage: Stage
    time: datetime
    after: str = ""

    @property
    def is_last(self) -> bool:
        """Whether it is the last that anybody hears of the session."""
        return self.stage in {Stage.ENDED, Stage.CANCELLED}

    def behind(self, user_id: str) -> "Telling":
        """Return what is left to do once everybody up to a user has been told."""
        return replace(self, after=user_id)

    def encode(self) -> bytes:
        """Return it as a deadline keeps it."""
        return f"{self.stage} {self.time.isoformat()} {self.after}".encode()

    @classmethod
    def decode(cls, payload: bytes) -> "Telling":
        """Return what `encode` made bytes of."""
        stage, time, after = payload.decode().split(" ", 2)
        return cls(Stage(stage), datetime.fromisoformat(time), after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a session stands, as people are told; `stage_time` is when it opens, or since when it is so."""

    session_id: str
    title: str
    stage: Stage
    stage_time: datetime


@dataclass(frozen=True, slots=True)
class Farewell:
    """What is left to tell of a session that has been removed, and to whom, in order."""

    start: Start
    user_ids: Sequence[str]

    def behind(self, count: int) -> "Farewell":
        """Return what is left to do once so many have been told."""
        return replace(self, user_ids=self.user_ids[count:])

    def encode(self) -> bytes:
        """Return it as a deadline keeps it."""
        start = self.start
        time = start.stage_time.isoformat()
        return json.dumps([start.session_id, start.title, start.stage, time, list(self.user_ids)]).encode()

    @classmethod
    def decode(cls, payload: bytes) -> "Farewell":
        """Return what `encode` made bytes of."""
        session_id, title, stage, time, user_ids = json.loads(payload)
        start = Start(
            session_id=session_id, title=title, stage=Stage(stage), stage_time=datetime.fromisoformat(time)
        )
        return cls(start, user_ids)


def start_of(session: Session, telling: Telling) -> Start:
    """Return what people are told."""
    opens = session.scheduled_time if telling.stage is Stage.SCHEDULED else None
    return Start(
        session_id=session.session_id,
        title=session.settings.title,
        stage=telling.stage,
        stage_time=opens or telling.time,
    )


def to_tell(session: Session, verb: Verb, old_status: Status, now: datetime) -> Telling | None:
    """Return what people are to be told of a move; None for nothing, or when nobody belongs to it."""
    stage = _STAGES.get(verb)
    if stage is None or (old_status is Status.DRAFT and stage is Stage.CANCELLED):
        return None
    telling = Telling(stage, now)
    # Who has left by the end was told of the start, perhaps.
    belong = bool(session.settings.class_ids) or session.seat_count > 0
    return telling if belong or telling.is_last else None
