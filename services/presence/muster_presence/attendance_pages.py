"""Where a list of a class's records goes on: by name, person and session."""

from muster_presence.model_sheet import Record


def class_key(record: Record) -> str:
    """Return the key of a record; none of its parts holds a NUL."""
    return f"{record.sort_name}\0{record.user_id}\0{record.session_id}"


def class_place(data: bytes) -> tuple[str, str, str]:
    """Return the place that a key is of; ValueError when it is none."""
    name, user_id, session_id = data.decode().split("\0")
    return name, user_id, session_id
