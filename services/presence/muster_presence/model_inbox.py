"""What people are told, and what of it waits for them until they connect; pure."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

_INBOXES: Final = "inbox/"


class ItemKind(StrEnum):
    """What can wait in an inbox."""

    START = "start"
    INVITATION = "invitation"
    FRIEND_REQUEST = "friend_request"


@dataclass(frozen=True, slots=True)
class Item:
    """What a notice leaves in an inbox, in the place of an older one of its kind and key.

    `payload` is the notice in its contract's bytes, None when nothing of it waits any more. One of an earlier
    `order_time` comes too late to be told (None: none is, and it is of the time it is put there). It waits
    until `expire_time`, and never longer than notices are kept.
    """

    kind: ItemKind
    key: str
    payload: bytes | None
    order_time: datetime | None = None
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell: an `InboxEvent` in its contract's bytes, without seq and time.

    `from_user_id` is who invites with it: those who block them are not told.
    """

    event: bytes
    item: Item | None = None
    from_user_id: str = ""


def inboxes_of(organization_id: str) -> str:
    """Return how the rooms of an organization's inboxes begin, and no others."""
    return f"{_INBOXES}{len(organization_id)}:{organization_id}:"


def inbox_room(organization_id: str, user_id: str) -> str:
    """Return the room of a person's inbox."""
    return inboxes_of(organization_id) + user_id


def inbox_person(room_id: str) -> tuple[str, str] | None:
    """Return the organization and the person of an inbox; None for another room."""
    if not is_inbox(room_id):
        return None
    size, rest = room_id.removeprefix(_INBOXES).split(":", 1)
    return rest[: int(size)], rest[int(size) + 1 :]


def is_inbox(room_id: str) -> bool:
    """Tell whether a room is an inbox."""
    return room_id.startswith(_INBOXES)


def first_epoch(room_id: str) -> int:
    """Return the epoch that the log of an inbox begins with: one that nobody has to look up.

    So an inbox into which nothing was ever put has a log, empty, of which cursors can be given.
    """
    return int.from_bytes(hashlib.sha256(room_id.encode()).digest()[:8]) >> 1
