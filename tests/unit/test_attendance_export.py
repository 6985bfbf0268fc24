"""Attendance as a file: whole, readable, and no formula in any cell."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_presence.export_attendance import COLUMNS, as_csv
from muster_presence.model_attendance import Computed, Evidence, Status
from muster_presence.model_sheet import Mark, Record

TIME = datetime(2026, 3, 2, 8, tzinfo=UTC)
COMPUTED = Computed(
    Status.PRESENT,
    Evidence(present=timedelta(minutes=41), active=timedelta(minutes=50), gap_count=3, first_seen=TIME),
    "41 of 50 minutes, 3 gaps",
)


def record(name: str = "Ana", reason: str = "") -> Record:
    """Return a record, marked when there is a reason."""
    mark = Mark(user_id="ana", status=Status.EXCUSED, reason=reason, marked_by_user_id="tess", mark_time=TIME)
    return Record(
        session_id="lesson",
        user_id="ana",
        display_name=name,
        computed=COMPUTED,
        in_roster=True,
        mark=mark if reason else None,
    )


def rows(*records: Record) -> list[dict[str, str]]:
    """Return what a reader makes of the file."""
    text = b"".join(as_csv(records)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_file_without_records_has_its_columns() -> None:
    assert b"".join(as_csv([])).decode() == ",".join(COLUMNS) + "\r\n"


def test_a_record_is_a_line() -> None:
    [row] = rows(record(reason='ill, "really"\nill'))
    assert row["explanation"] == "41 of 50 minutes, 3 gaps"
    assert (row["status"], row["computed_status"]) == ("EXCUSED", "PRESENT")
    assert (row["present_minutes"], row["active_minutes"], row["share"]) == ("41.0", "50.0", "0.82")
    assert (row["mark_reason"], row["marked_by"]) == ('ill, "really"\nill', "tess")
    assert (row["first_seen"], row["last_seen"]) == ("2026-03-02T08:00:00+00:00", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", " =", "\u200b=", "\u2212"])
def test_no_cell_is_a_formula(start: str) -> None:
    [row] = rows(record(f"{start}HYPERLINK(1)", reason=f"{start}cmd|' /C calc'!A0"))
    for cell in (row["name"], row["mark_reason"]):
        assert cell[0] == "'"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_names_are_what_they_are(name: str) -> None:
    [row] = rows(record(name))
    assert row["name"] in (name, f"'{name}")
    assert not row["name"].lstrip().startswith(("=", "+", "-", "@"))


def test_a_large_file_comes_in_parts() -> None:
    chunks = list(as_csv([record(f"Student {number}") for number in range(3000)]))
    assert len(chunks) > 3
    assert max(map(len, chunks)) < 70_000
    assert len(b"".join(chunks).splitlines()) == 3001
