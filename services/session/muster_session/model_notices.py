"""What people are told of a session they belong to, and when; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from muster_session.model import Session, Status, Verb

NOTICE_DEADLINE: Final = "notice"
"""Someone has to be told where the session stands; of several moves the last is told."""

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


def to_tell(session: Session, verb: Verb, old_status: Status, now: datetime) -> Telling | None:
    """Return what people are to be told of a move; None for nothing, or when nobody belongs to it."""
    stage = _STAGES.get(verb)
    if stage is None or (old_status is Status.DRAFT and stage is Stage.CANCELLED):
        return None
    telling = Telling(stage, now)
    # Who has left by the end was told of the start, perhaps.
    belong = bool(session.settings.class_ids) or session.seat_count > 0
    return telling if belong or telling.is_last else None
