"""SQL of the ledger. Rows go in as arrays, one a column, so that a batch is one statement."""

from typing import Final

from sqlalchemy import text

# The rows of a batch, in one order for everybody: two workers that write the same ones wait for each
# other, not in a circle.
_KEYS: Final = """
    CAST(:organization_ids AS text[]), CAST(:scope_kinds AS smallint[]), CAST(:scope_ids AS text[]),
    CAST(:user_ids AS text[]), CAST(:enter_times AS timestamptz[])
"""
_KEY_NAMES: Final = "organization_id, scope_kind, scope_id, user_id, enter_time"
_SAME: Final = (
    f"({', '.join(f'kept.{name}' for name in _KEY_NAMES.split(', '))})"
    f" = ({', '.join(f'told.{name}' for name in _KEY_NAMES.split(', '))})"
)

LOCK_SHARED: Final = text(
    "SELECT pg_advisory_xact_lock_shared(hashtextextended('muster.presence.erasure', 0))"
)
"""Before facts are written: an erasure is seen by what is written after it, and sees what was before."""

LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('muster.presence.erasure', 0))")
"""Before somebody is erased, or what facts are about changes."""

# A fact about a part is one about the whole. There are parts after a loss of the index alone.
_PART: Final = """
    LEFT JOIN presence.interval_part AS part ON
        (part.organization_id, part.user_id, part.scope_kind, part.scope_id, part.told_enter_time)
        = (told.organization_id, told.user_id, told.scope_kind, told.scope_id, told.enter_time)
"""
_OF_WHOLE: Final = f"""
    {", ".join(f"told.{name}" for name in _KEY_NAMES.split(", ")[:-1])},
    coalesce(part.enter_time, told.enter_time) AS enter_time
"""

# What was assumed gives way to what was told, however old that is.
TELL: Final = text(f"""
WITH told AS MATERIALIZED (
    SELECT DISTINCT ON (1, 2, 3, 4, 5) {_OF_WHOLE}, leave_time, cause, role, display_name, participant_id,
        last_activity_time, told_order
    FROM unnest(
        {_KEYS}, CAST(:leave_times AS timestamptz[]), CAST(:causes AS smallint[]), CAST(:roles AS smallint[]),
        CAST(:display_names AS text[]), CAST(:participant_ids AS text[]),
        CAST(:last_activity_times AS timestamptz[]), CAST(:orders AS bigint[])
    ) AS told (
        {_KEY_NAMES}, leave_time, cause, role, display_name, participant_id, last_activity_time, told_order
    ) {_PART}
    WHERE NOT EXISTS (
        SELECT FROM presence.erased_user AS erased
        WHERE erased.organization_id = told.organization_id AND erased.user_id = told.user_id
          AND told.enter_time <= erased.erase_time
    )
    ORDER BY 1, 2, 3, 4, 5, told_order DESC
), known AS (
    INSERT INTO presence.ledger_scope AS known
        (organization_id, scope_kind, scope_id, touch_time, claim_time, next_claim_time)
    SELECT DISTINCT organization_id, scope_kind, scope_id,
        statement_timestamp(), statement_timestamp(), statement_timestamp()
    FROM told WHERE leave_time IS NULL ORDER BY 1, 2, 3
    ON CONFLICT (organization_id, scope_kind, scope_id) DO UPDATE SET touch_time = excluded.touch_time
)
INSERT INTO presence.presence_interval AS kept (
    {_KEY_NAMES}, leave_time, cause, role, display_name, participant_id, last_activity_time, told_order
)
SELECT * FROM told
ON CONFLICT ({_KEY_NAMES}) DO UPDATE SET
    leave_time = excluded.leave_time, cause = excluded.cause, role = excluded.role,
    display_name = excluded.display_name, participant_id = excluded.participant_id,
    last_activity_time = greatest(kept.last_activity_time, excluded.last_activity_time),
    told_order = excluded.told_order, is_assumed = false, seen_time = NULL, missing_time = NULL
WHERE excluded.told_order > kept.told_order OR (kept.is_assumed AND excluded.leave_time IS NOT NULL)
""")  # noqa: S608 - made of the constants above

ACT: Final = text(f"""
WITH told AS MATERIALIZED (
    SELECT {_OF_WHOLE}, act_time
    FROM unnest({_KEYS}, CAST(:act_times AS timestamptz[])) AS told ({_KEY_NAMES}, act_time) {_PART}
), kept AS MATERIALIZED (
    SELECT {", ".join(f"kept.{name}" for name in _KEY_NAMES.split(", "))}, told.act_time
    FROM presence.presence_interval AS kept JOIN told ON {_SAME}
    WHERE kept.last_activity_time IS NULL OR kept.last_activity_time < told.act_time
    ORDER BY {", ".join(f"kept.{name}" for name in _KEY_NAMES.split(", "))}
    FOR UPDATE OF kept
)
UPDATE presence.presence_interval AS told SET last_activity_time = kept.act_time FROM kept WHERE {_SAME}
""")  # noqa: S608

KNOW: Final = text("""
INSERT INTO presence.ledger_scope
    (organization_id, scope_kind, scope_id, touch_time, claim_time, next_claim_time)
SELECT organization_id, scope_kind, scope_id, clock_timestamp(), '-infinity', '-infinity' FROM unnest(
    CAST(:organization_ids AS text[]), CAST(:scope_kinds AS smallint[]), CAST(:scope_ids AS text[])
) AS found (organization_id, scope_kind, scope_id)
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING
""")

# What was told just before the last look may have come too late for it.
CLAIM: Final = text("""
WITH due AS MATERIALIZED (
    SELECT organization_id, scope_kind, scope_id, claim_time, touch_time FROM presence.ledger_scope
    WHERE next_claim_time <= clock_timestamp() ORDER BY next_claim_time LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
UPDATE presence.ledger_scope AS known
SET claim_time = clock_timestamp(), next_claim_time = clock_timestamp() + make_interval(secs => :seconds)
FROM due
WHERE (known.organization_id, known.scope_kind, known.scope_id)
    = (due.organization_id, due.scope_kind, due.scope_id)
RETURNING known.organization_id, known.scope_kind, known.scope_id, known.check_time,
    CASE WHEN due.touch_time < due.claim_time - interval '10 s' THEN known.check_order END AS check_order
""")

OPEN: Final = text("""
SELECT user_id, enter_time, told_order, last_activity_time, seen_time, missing_time, (
    SELECT min(later.enter_time) FROM presence.presence_interval AS later
    WHERE (later.organization_id, later.scope_kind, later.scope_id, later.user_id)
        = (:organization_id, :scope_kind, :scope_id, kept.user_id) AND later.enter_time > kept.enter_time
) AS next_enter_time, (
    SELECT max(part.told_enter_time) FROM presence.interval_part AS part
    WHERE (part.organization_id, part.user_id, part.scope_kind, part.scope_id, part.enter_time)
        = (:organization_id, kept.user_id, :scope_kind, :scope_id, kept.enter_time)
) AS told_enter_time
FROM presence.presence_interval AS kept
WHERE organization_id = :organization_id AND scope_kind = :scope_kind AND scope_id = :scope_id
  AND leave_time IS NULL AND (user_id, enter_time) > (:user_id, CAST(:enter_time AS timestamptz))
ORDER BY user_id, enter_time LIMIT :limit
""")

NOT_OPEN: Final = text(f"""
SELECT told.place FROM unnest({_KEYS}) WITH ORDINALITY AS told ({_KEY_NAMES}, place) {_PART}
WHERE NOT EXISTS (
    SELECT FROM presence.presence_interval AS kept
    WHERE {_SAME.replace("told.enter_time", "coalesce(part.enter_time, told.enter_time)")}
      AND kept.leave_time IS NULL
) AND NOT EXISTS (
    SELECT FROM presence.erased_user AS erased
    WHERE erased.organization_id = told.organization_id AND erased.user_id = told.user_id
      AND told.enter_time <= erased.erase_time
)
""")  # noqa: S608

_MARKED: Final = f"""
UPDATE presence.presence_interval AS kept SET {{changes}}
FROM unnest({_KEYS}, CAST(:orders AS bigint[]), CAST(:times AS timestamptz[]), CAST(:new_orders AS bigint[]))
    AS told ({_KEY_NAMES}, told_order, time, new_order)
WHERE {_SAME} AND kept.leave_time IS NULL AND kept.told_order = told.told_order
"""  # noqa: S608

FOUND: Final = text(_MARKED.format(changes="seen_time = NULL, missing_time = NULL"))
MISSING: Final = text(_MARKED.format(changes="seen_time = told.time, missing_time = :now"))
OVER: Final = text(
    _MARKED.format(
        changes="leave_time = told.time, cause = :cause, told_order = told.new_order, is_assumed = true,"
        " seen_time = NULL, missing_time = NULL"
    )
)

# What was taken for a new interval becomes a part of the one before it, which goes on as it does.
UNITE: Final = text(f"""
WITH told AS MATERIALIZED (
    SELECT * FROM unnest({_KEYS}, CAST(:orders AS bigint[]), CAST(:times AS timestamptz[]))
        AS told ({_KEY_NAMES}, told_order, next_enter_time)
), later AS (
    DELETE FROM presence.presence_interval AS later
    USING told JOIN presence.presence_interval AS kept
        ON {_SAME} AND kept.leave_time IS NULL AND kept.told_order = told.told_order
    WHERE {_SAME.replace("kept.", "later.").replace("told.enter_time", "told.next_enter_time")}
    RETURNING later.*, told.enter_time AS whole_enter_time
), known AS (
    UPDATE presence.interval_part AS part SET enter_time = later.whole_enter_time FROM later
    WHERE (part.organization_id, part.user_id, part.scope_kind, part.scope_id, part.enter_time)
        = (later.organization_id, later.user_id, later.scope_kind, later.scope_id, later.enter_time)
), new AS (
    INSERT INTO presence.interval_part
        (organization_id, scope_kind, scope_id, user_id, told_enter_time, enter_time)
    SELECT {_KEY_NAMES}, whole_enter_time FROM later
)
UPDATE presence.presence_interval AS kept SET
    leave_time = told.leave_time, cause = told.cause, role = told.role, display_name = told.display_name,
    participant_id = told.participant_id, told_order = told.told_order, is_assumed = told.is_assumed,
    last_activity_time = greatest(kept.last_activity_time, told.last_activity_time),
    seen_time = told.seen_time, missing_time = told.missing_time
FROM later AS told
WHERE {_SAME.replace("told.enter_time", "told.whole_enter_time")}
""")  # noqa: S608

_SCOPE: Final = "organization_id = :organization_id AND scope_kind = :scope_kind AND scope_id = :scope_id"

RENEW: Final = text("""
UPDATE presence.ledger_scope AS known SET check_time = :check_time FROM unnest(
    CAST(:organization_ids AS text[]), CAST(:scope_kinds AS smallint[]), CAST(:scope_ids AS text[])
) AS found (organization_id, scope_kind, scope_id)
WHERE (known.organization_id, known.scope_kind, known.scope_id)
    = (found.organization_id, found.scope_kind, found.scope_id)
""")

FINISH: Final = text(f"""
UPDATE presence.ledger_scope SET check_time = :check_time, check_order = :check_order,
    next_claim_time = greatest(next_claim_time, clock_timestamp() + make_interval(secs => :rest_seconds))
WHERE {_SCOPE}
""")  # noqa: S608

# Whoever comes touches the row: it is looked at again when that was while it was about to go.
FORGET: Final = text(f"""
WITH forgotten AS (
    DELETE FROM presence.ledger_scope
    WHERE {_SCOPE} AND touch_time < clock_timestamp() - interval '10 min' AND NOT EXISTS (
        SELECT FROM presence.presence_interval WHERE {_SCOPE} AND leave_time IS NULL
    )
    RETURNING organization_id, scope_kind, scope_id
)
DELETE FROM presence.interval_part AS part USING forgotten
WHERE (part.organization_id, part.scope_kind, part.scope_id)
    = (forgotten.organization_id, forgotten.scope_kind, forgotten.scope_id)
""")  # noqa: S608

ERASE: Final = text("""
WITH erased AS (
    INSERT INTO presence.erased_user (organization_id, user_id, erase_time)
    VALUES (:organization_id, :user_id, :erase_time)
    ON CONFLICT (organization_id, user_id) DO UPDATE
    SET erase_time = greatest(excluded.erase_time, erased_user.erase_time)
), parts AS (
    DELETE FROM presence.interval_part WHERE organization_id = :organization_id AND user_id = :user_id
)
DELETE FROM presence.presence_interval WHERE organization_id = :organization_id AND user_id = :user_id
RETURNING scope_kind, scope_id, leave_time IS NULL OR leave_time >= :since AS is_known
""")
