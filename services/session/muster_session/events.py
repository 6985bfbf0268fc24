"""What happens in a session: the entries of its log, as the use cases write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from muster_session.model import Participant, ParticipantStatus, Session, StatusChange
from muster_session.model_blocks import Block, BlockPlace


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """Settings changed."""

    session: Session


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The status moved; `clocks` are the active blocks after it, when their clocks stopped or went on."""

    change: StatusChange
    session: Session
    clocks: Sequence[Block] = ()


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    """Someone joined or came back."""

    participant: Participant
    participant_count: int


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    """Someone left."""

    participant_id: str
    participant_count: int


@dataclass(frozen=True, slots=True)
class ParticipantRemoved:
    """Someone was kicked or banned."""

    participant_id: str
    status: ParticipantStatus
    participant_count: int


@dataclass(frozen=True, slots=True)
class ParticipantUpdated:
    """A name, a role or a ban changed."""

    participant: Participant
    participant_count: int


@dataclass(frozen=True, slots=True)
class BlocksAdded:
    """Blocks were added; those behind them moved down."""

    blocks: Sequence[BlockPlace]


@dataclass(frozen=True, slots=True)
class BlockUpdated:
    """A block that is not shown yet changed."""

    block: BlockPlace


@dataclass(frozen=True, slots=True)
class BlockDeleted:
    """A block was deleted; those behind it moved up."""

    block_id: str


@dataclass(frozen=True, slots=True)
class BlocksReordered:
    """Blocks changed places; these are all of them, in their new order."""

    block_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class BlockActivated:
    """A block is open for answers."""

    block: Block


@dataclass(frozen=True, slots=True)
class BlockClosed:
    """A block closed; `answer_key` is None when the session hides answers."""

    block_id: str
    round_id: str
    close_time: datetime
    answer_key: bytes | None
    by_deadline: bool


@dataclass(frozen=True, slots=True)
class BlockSkipped:
    """A block was left out."""

    block_id: str


Event: TypeAlias = (
    SessionUpdated
    | StatusChanged
    | ParticipantJoined
    | ParticipantLeft
    | ParticipantRemoved
    | ParticipantUpdated
    | BlocksAdded
    | BlockUpdated
    | BlockDeleted
    | BlocksReordered
    | BlockActivated
    | BlockClosed
    | BlockSkipped
)
