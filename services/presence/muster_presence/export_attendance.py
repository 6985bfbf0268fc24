"""Attendance as a file: CSV that is safe to open in a spreadsheet, or JSON with all there is."""

import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from muster_presence.model_attended import Attended
from muster_presence.model_sheet import Change, Record, Stay

_CHUNK_BYTES: Final = 64 * 1024
# A spreadsheet takes what begins so for a formula; OWASP, CSV Injection. Wide forms of them count as well.
_FORMULA: Final = frozenset("=+-@\N{MINUS SIGN}")

COLUMNS: Final = (
    "user_id",
    "name",
    "in_roster",
    "status",
    "computed_status",
    "present_minutes",
    "active_minutes",
    "share",
    "gaps",
    "first_seen",
    "last_seen",
    "explanation",
    "mark_reason",
    "marked_by",
    "mark_time",
    "settled",
)


def as_csv(records: Sequence[Record]) -> Iterator[bytes]:
    """Yield the chunks of a table, RFC 4180 in UTF-8: the names of columns, then a line each record."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for record in records:
        writer.writerow([_cell(value) for value in _row(record)])
        if buffer.tell() >= _CHUNK_BYTES:
            yield _taken(buffer)
    yield _taken(buffer)


def as_json(
    attended: Attended, records: Sequence[Record], changes: Sequence[Change], stays: Sequence[Stay]
) -> Iterator[bytes]:
    """Yield the chunks of one document: the session, its records, changes and intervals."""
    document = {
        "session_id": attended.scope.scope_id,
        "title": attended.title,
        "active": [[_time(span.start), _time(span.end)] for span in attended.spans],
        "records": [dict(zip(COLUMNS, _row(record), strict=True)) for record in records],
        "changes": [
            {
                "user_id": change.user_id,
                "old_status": change.old_status.name,
                "new_status": change.new_status.name,
                "cause": change.cause.name,
                "reason": change.reason,
                "changed_by": change.changed_by_user_id,
                "change_time": _time(change.change_time),
            }
            for change in changes
        ],
        "intervals": [
            {"user_id": stay.user_id, "start": _time(stay.span.start), "end": _time(stay.span.end)}
            for stay in stays
        ],
    }
    buffer = io.StringIO()
    for part in json.JSONEncoder(ensure_ascii=False).iterencode(document):
        buffer.write(part)
        if buffer.tell() >= _CHUNK_BYTES:
            yield _taken(buffer)
    yield _taken(buffer)


def _row(record: Record) -> list[object]:
    evidence, mark = record.computed.evidence, record.mark
    return [
        record.user_id,
        record.display_name,
        record.in_roster,
        record.status.name,
        record.computed.status.name,
        round(evidence.present.total_seconds() / 60, 1),
        round(evidence.active.total_seconds() / 60, 1),
        round(evidence.share, 3),
        evidence.gap_count,
        _time(evidence.first_seen),
        _time(evidence.last_seen),
        record.computed.explanation,
        mark.reason if mark else "",
        mark.marked_by_user_id if mark else "",
        _time(mark.mark_time) if mark else "",
        record.settled,
    ]


def _cell(value: object) -> object:
    """Return a cell that is no formula: a quote before one makes it text."""
    return f"'{value}" if isinstance(value, str) and _looks_like_formula(value) else value


def _looks_like_formula(text: str) -> bool:
    if text[:1] in {"\t", "\r", "\n"}:
        return True
    # Programs pass over what cannot be seen, not all over the same.
    seen = next((letter for letter in text if unicodedata.category(letter)[0] not in "ZCM"), "")
    return unicodedata.normalize("NFKC", seen)[:1] in _FORMULA


def _time(time: datetime | None) -> str:
    return time.isoformat(timespec="seconds") if time else ""


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
