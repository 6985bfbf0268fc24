"""Ids: opaque to clients, sorted by creation to the index that holds them."""

import uuid_utils


def new_id() -> str:
    """Return a fresh UUIDv7 in its usual text form."""
    return str(uuid_utils.uuid7())
