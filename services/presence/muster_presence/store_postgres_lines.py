"""How devices are kept track of on channels, read from PostgreSQL for many sessions at once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from muster_kit.db import Database
from sqlalchemy import text

from muster_presence.convert_channels import line_of
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.usecases_lines import ChannelLine, ChannelLines

# Of channels that were used and never configured there is nothing to know.
_LINES: Final = text("""
SELECT session_id, name, configuration, hidden_from_students FROM presence.channel
WHERE organization_id = :organization_id AND session_id = ANY (CAST(:session_ids AS text[])) AND revision > 0
""")


class PostgresLines:
    """`LineStore` over the app's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lines(self, organization_id: str, scopes: Sequence[ScopeId]) -> Mapping[ScopeId, ChannelLines]:
        """Return the lines of sessions of one organization, of those that have any."""
        found: defaultdict[ScopeId, dict[str, ChannelLine]] = defaultdict(dict)
        names = {"organization_id": organization_id, "session_ids": [scope.scope_id for scope in scopes]}
        async with self._database.transaction(organization_id) as transaction:
            for row in await transaction.connection.execute(_LINES, names):
                scope = ScopeId(organization_id, ScopeKind.SESSION, row.session_id)
                line = line_of(row.name, row.configuration)
                found[scope][row.name] = ChannelLine(line, row.hidden_from_students)
        return found
