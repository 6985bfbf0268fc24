"""Channels, analytics and files of a session's attendance."""

import csv
import io
import json
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from muster.presence.v1 import channel_pb2
from muster.presence.v1.presence_service_pb2 import HeartbeatRequest
from muster_kit.errors import Reason
from sqlalchemy import text

from tests.rpc.house import House, error_of, reason_of
from tests.rpc.registers import (
    ABSENT,
    ACTIVE,
    ENDED,
    EXCUSED,
    PRESENT,
    START,
    Register,
    new_register,
    stamp,
)
from tests.waiting import until

CSV, JSON = "ATTENDANCE_EXPORT_FORMAT_CSV", "ATTENDANCE_EXPORT_FORMAT_JSON"
Configuration = channel_pb2.ChannelConfiguration


@pytest.fixture
async def register(house: House) -> Register:
    register = await new_register(house)
    await register.report(ACTIVE, (0, None))
    return register


async def names(register: Register, **fields: Any) -> list[str]:
    """Return the channels by name, all pages of them."""
    found, token = [], ""
    while not found or token:
        page = await register.call("ListChannels", page_token=token, **fields)
        found += [channel.name for channel in page.channels]
        token = page.next_page_token
    return found


async def test_a_channel_is_made_configured_and_listed(register: Register) -> None:
    assert await names(register) == ["main"]
    wanted = Configuration(
        heartbeat_interval=Duration(seconds=10), stale_after=Duration(seconds=20), labels={"room": "7"}
    )
    made = (await register.call("ConfigureChannel", name="projector", configuration=wanted)).channel
    assert (made.session_id, made.name, made.revision) == (register.session_id, "projector", 1)
    assert made.configuration == wanted
    again = await register.call(
        "ConfigureChannel", name="projector", configuration=Configuration(), expected_revision=1
    )
    assert (again.channel.revision, again.channel.create_time) == (2, made.create_time)
    await register.call("ConfigureChannel", name="a-1", configuration=Configuration())
    assert await names(register, page_size=1) == ["a-1", "main", "projector"]


async def test_connections_and_the_last_activity_are_live(register: Register) -> None:
    request = HeartbeatRequest(device_id="phone")
    for user_id in ("ana", "bo"):
        await register.house.presence.Heartbeat(request, metadata=register.ticket(user_id))
    [main] = (await register.call("ListChannels")).channels
    assert main.connection_count == 2


async def test_a_channel_is_configured_once_for_a_request_id(register: Register) -> None:
    fields = {"name": "remote", "configuration": Configuration(), "request_id": "one"}
    first = await register.call("ConfigureChannel", **fields)
    assert await register.call("ConfigureChannel", **fields) == first
    other = register.call("ConfigureChannel", **{**fields, "name": "other"})
    assert await reason_of(other) is Reason.REQUEST_ID_REUSED
    stale = register.call(
        "ConfigureChannel", name="remote", configuration=Configuration(), expected_revision=2
    )
    assert await reason_of(stale) is Reason.REVISION_STALE


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Main"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"configuration": None}, "configuration"),
        (
            {"configuration": Configuration(heartbeat_interval=Duration(seconds=1))},
            "configuration.heartbeat_interval",
        ),
        (
            {
                "configuration": Configuration(
                    heartbeat_interval=Duration(seconds=20), stale_after=Duration(seconds=39)
                )
            },
            "configuration.stale_after",
        ),
        # What is absent is the deployment's: an interval of 15 s, stale after 30 s.
        (
            {"configuration": Configuration(heartbeat_interval=Duration(seconds=16))},
            "configuration.heartbeat_interval",
        ),
        ({"configuration": Configuration(stale_after=Duration(seconds=29))}, "configuration.stale_after"),
        (
            {"configuration": Configuration(return_grace=Duration(seconds=61))},
            "configuration.return_grace",
        ),
    ],
)
async def test_a_channel_has_to_make_sense(register: Register, fields: dict[str, Any], field: str) -> None:
    wanted = {"name": "remote", "configuration": Configuration(), **fields}
    refused = await error_of(register.call("ConfigureChannel", **wanted))
    assert (refused.reason, refused.violations[0].field) == (Reason.INVALID_FIELD, field)


async def test_a_session_has_so_many_channels_and_no_more(register: Register) -> None:
    await _insert(
        register,
        """INSERT INTO presence.channel
           SELECT :organization_id, :session_id, 'many-' || n, '', false, now(), 1
           FROM generate_series(1, 100) AS n""",
    )
    more = register.call("ConfigureChannel", name="more", configuration=Configuration())
    assert await reason_of(more) is Reason.TOO_LARGE
    await register.call("ConfigureChannel", name="many-7", configuration=Configuration())


async def test_points_are_thinned_out_evenly(register: Register) -> None:
    # The first look at the session makes a point as well, and the only one: nobody comes.
    await until(lambda: has_point(register))
    await _insert(
        register,
        """INSERT INTO presence.attendance_point
           SELECT :organization_id, :session_id, CAST(:start AS timestamptz) + n * interval '1 second',
               30, n, n, '{1,4}', ARRAY[n, 30 - n]
           FROM generate_series(1, 30) AS n""",
        start=START,
    )
    whole = await register.call("GetAttendanceAnalytics", end_time=stamp(1))
    assert [point.present_count for point in whole.points] == list(range(1, 31))
    assert {each.status: each.count for each in whole.points[9].statuses} == {PRESENT: 10, ABSENT: 20}
    few = await register.call("GetAttendanceAnalytics", maximum_points=3, end_time=stamp(1))
    assert [point.present_count for point in few.points] == [10, 20, 30]
    part = await register.call("GetAttendanceAnalytics", start_time=stamp(0.25), end_time=stamp(0.3))
    assert [point.present_count for point in part.points] == [15, 16, 17]
    assert part.latest == whole.latest
    none = await register.call("GetAttendanceAnalytics", end_time=stamp(-1))
    assert not none.points


async def test_too_many_points_are_refused(register: Register) -> None:
    refused = await error_of(register.call("GetAttendanceAnalytics", maximum_points=1001))
    assert refused.violations[0].field == "maximum_points"


async def test_a_table_has_a_line_for_everyone(register: Register) -> None:
    await register.report(ENDED)
    await register.came("ana", (0, 50))
    await register.came("=1+1", (0, 50))
    await register.mark(("bo", EXCUSED))
    rows = list(csv.DictReader(io.StringIO((await register.file(format=CSV)).decode(), newline="")))
    assert [(row["name"], row["status"]) for row in rows] == [
        ("'=1+1", "PRESENT"),
        ("Ana", "PRESENT"),
        ("Bo", "EXCUSED"),
        ("Cy", "ABSENT"),
    ]
    assert rows[2]["mark_reason"] == "the doctor's"
    before = (await register.file(format=CSV, as_of_time=stamp(20))).decode()
    assert "20 of 20 minutes" in before
    assert "EXCUSED" not in before


async def test_a_document_has_records_changes_and_intervals(register: Register) -> None:
    await register.report(ENDED)
    await register.came("ana", (0, 20), (30, 50))
    await register.mark(("bo", EXCUSED))
    document = json.loads(await register.file(format=JSON))
    assert document["session_id"] == register.session_id
    assert [record["user_id"] for record in document["records"]] == ["ana", "bo", "cy"]
    # Beside what the clock wrote down while it ran.
    marked = [change for change in document["changes"] if change["cause"] == "MARKED"]
    assert [(change["user_id"], change["new_status"]) for change in marked] == [("bo", "EXCUSED")]
    assert len(document["intervals"]) == 2
    then = json.loads(await register.file(format=JSON, as_of_time=stamp(25)))
    assert (then["changes"], len(then["intervals"])) == ([], 1)


async def test_a_file_has_a_format(register: Register) -> None:
    refused = await error_of(register.file(format=0))
    assert (refused.reason, refused.violations[0].field) == (Reason.INVALID_FIELD, "format")


async def has_point(register: Register) -> bool:
    """Tell whether the session has been looked at."""
    return (await register.call("GetAttendanceAnalytics")).HasField("latest")


async def _insert(register: Register, sql: str, **values: object) -> None:
    ids = {"organization_id": register.school.organization, "session_id": register.session_id}
    admin = register.admin_database()
    async with admin.connection() as connection:
        await connection.execute(text(sql), ids | values)
    await admin.close()
