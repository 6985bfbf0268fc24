"""Times of requests, as far as everything behind the door can hold them."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from muster_kit.errors import MusterError, Reason, Violation

# A Timestamp goes from year 1 to 9999, and so does a datetime. But the PostgreSQL driver takes the first
# and the last day of these for infinity, and what is added to a time must not leave them either.
_YEARS = range(2, 9999)


def time_of(message: Timestamp, field: str) -> datetime:
    """Return the time in a request; MusterError(INVALID_FIELD), naming `field`, when it is out of range."""
    try:
        time = message.ToDatetime(UTC)
    except (ValueError, OverflowError):
        time = None
    if time is None or time.year not in _YEARS:
        violation = Violation(field, f"must be a time from year {_YEARS[0]} to {_YEARS[-1]}")
        raise MusterError(Reason.INVALID_FIELD, violations=[violation])
    return time
