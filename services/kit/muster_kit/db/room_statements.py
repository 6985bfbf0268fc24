"""The statements around the commands of a transaction, each of them one round trip."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Table, TextClause, text

from muster_kit.db.engine import ORGANIZATION_SETTING
from muster_kit.db.tables import RoomTables

# The steps of a statement each read from the one before, which is what makes PostgreSQL keep their
# order. Row-level security compares with the setting when it scans. A clock read in the same step
# as the lock would be read before the wait for it, and be older than what the last holder wrote.
_ORGANIZATION: Final = """
organization AS (
    SELECT set_config('{setting}', :organization_id, true) AS organization_id
)"""

_CLOCK: Final = """
opened AS (
    SELECT organization_id, clock_timestamp() AS now FROM organization
)"""

# NO KEY: as strong as the update at the end needs, and no bar to foreign keys.
_LOCK: Final = """
opened AS (
    SELECT organization.organization_id, log.epoch, log.head_seq, clock_timestamp() AS now
    FROM organization CROSS JOIN LATERAL (
        SELECT epoch, head_seq FROM {room_log}
        WHERE room_id = :room_id AND organization_id = organization.organization_id
        FOR NO KEY UPDATE
    ) AS log
)"""

# In order, so that two transactions claiming the same ids wait for each other in one direction only.
# The update changes nothing: DO NOTHING would not return the row that is there.
_CLAIM: Final = """
claimed AS (
    INSERT INTO {request} AS known
        (organization_id, caller_id, request_id, method, fingerprint, create_time)
    SELECT organization_id, caller_id, request_id, method, fingerprint, now
    FROM opened CROSS JOIN unnest(
        CAST(:claim_caller_id AS text[]),
        CAST(:claim_request_id AS text[]),
        CAST(:claim_method AS text[]),
        CAST(:claim_fingerprint AS bytea[])
    ) AS claim (caller_id, request_id, method, fingerprint)
    ORDER BY caller_id, request_id
    ON CONFLICT (organization_id, caller_id, request_id) DO UPDATE SET create_time = known.create_time
    RETURNING caller_id, request_id, fingerprint, response
)"""

_BEGIN_ROOM: Final = f"""
WITH {_ORGANIZATION}, {_LOCK}, {_CLAIM}
SELECT epoch, head_seq, now, caller_id, request_id, fingerprint, response
FROM opened LEFT JOIN claimed ON true
"""  # noqa: S608 - made of the constants above

_BEGIN: Final = f"""
WITH {_ORGANIZATION}, {_CLOCK}, {_CLAIM}
SELECT now, caller_id, request_id, fingerprint, response FROM opened LEFT JOIN claimed ON true
"""  # noqa: S608 - made of the constants above

_CREATE_ROOM: Final = """
INSERT INTO {room_log} (room_id, organization_id, epoch, head_seq)
VALUES (:room_id, :organization_id, :epoch, 0)
ON CONFLICT (room_id) DO NOTHING
RETURNING epoch
"""

_FIND: Final = """
SELECT caller_id, request_id, fingerprint, response FROM {request}
WHERE organization_id = :organization_id
  AND (caller_id, request_id) IN (
    SELECT * FROM unnest(CAST(:claim_caller_id AS text[]), CAST(:claim_request_id AS text[]))
  )
"""

# The row is there since the claim; INSERT finds it by its key whatever the planner believes, while
# the plan of an UPDATE, made when the table was small, would go on to read all of it as it grows.
# Not only the response: the claim may be of an earlier request with the same id, that failed.
_ANSWER: Final = """
INSERT INTO {request} AS known
    (organization_id, caller_id, request_id, method, fingerprint, response, create_time)
SELECT :organization_id, caller_id, request_id, method, fingerprint, response, now()
FROM unnest(
    CAST(:answer_caller_id AS text[]),
    CAST(:answer_request_id AS text[]),
    CAST(:answer_method AS text[]),
    CAST(:answer_fingerprint AS bytea[]),
    CAST(:answer_response AS bytea[])
) AS answer (caller_id, request_id, method, fingerprint, response)
ON CONFLICT (organization_id, caller_id, request_id) DO UPDATE
SET method = excluded.method, fingerprint = excluded.fingerprint, response = excluded.response
"""

_DROP: Final = """
DELETE FROM {request}
WHERE organization_id = :organization_id AND caller_id = :caller_id AND request_id = :request_id
"""

_FINISH_ROOM: Final = f"""
WITH moved AS (
    UPDATE {{room_log}} SET head_seq = :head_seq WHERE room_id = :room_id AND head_seq < :head_seq
),
answered AS ({_ANSWER})
INSERT INTO {{room_event}} (room_id, organization_id, seq, payload, create_time)
SELECT :room_id, :organization_id, seq, payload, create_time
FROM unnest(
    CAST(:event_seq AS bigint[]), CAST(:event_payload AS bytea[]), CAST(:event_create_time AS timestamptz[])
) AS event (seq, payload, create_time)
"""  # noqa: S608 - made of the constants above


@dataclass(frozen=True, slots=True)
class RequestStatements:
    """For a transaction that answers requests. Rows go in as arrays, one a column.

    - `begin` names the organization, reads the time and takes the claims (`claim_…`). It returns a
      row a claim, or one without: `now`, and `caller_id`, `request_id`, `fingerprint`, `response`
      of the claim. It waits while another transaction holds the same claim, and finds its answer.
    - `finish` stores the answers (`answer_…`).
    """

    begin: TextClause
    finish: TextClause


@dataclass(frozen=True, slots=True)
class RoomStatements:
    """For a transaction that writes a room.

    - `begin` is as above, but takes the room's lock first, and adds `epoch` and `head_seq`. There
      is no row when the organization has no such room.
    - `begin_without` followed by `create` is for a room that does not exist yet.
    - `find` looks for answers to claims, and takes none.
    - `finish` moves the head, appends the events (`event_…`) and stores the answers (`answer_…`).
    - `drop` gives up a claim.
    """

    begin: TextClause
    begin_without: TextClause
    create: TextClause
    find: TextClause
    finish: TextClause
    drop: TextClause


def request_statements(request: Table) -> RequestStatements:
    """Return the statements over a table of requests."""
    names = {"setting": ORGANIZATION_SETTING, "request": request.fullname}
    return RequestStatements(begin=text(_BEGIN.format(**names)), finish=text(_ANSWER.format(**names)))


def room_statements(tables: RoomTables) -> RoomStatements:
    """Return the statements over the tables of rooms."""
    names = {"setting": ORGANIZATION_SETTING, **{table.name: table.fullname for table in tables}}
    return RoomStatements(
        begin=text(_BEGIN_ROOM.format(**names)),
        begin_without=text(_BEGIN.format(**names)),
        create=text(_CREATE_ROOM.format(**names)),
        find=text(_FIND.format(**names)),
        finish=text(_FINISH_ROOM.format(**names)),
        drop=text(_DROP.format(**names)),
    )
