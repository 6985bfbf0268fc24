"""What the servicers work with, put together once by the composition root."""

from dataclasses import dataclass

from muster_kit.clock import Clock
from muster_kit.db import Commands
from muster_kit.streams import Hub

from muster_session.arrivals import Arrivals
from muster_session.join_codes import code_length
from muster_session.settings import SessionServiceSettings
from muster_session.store import Room
from muster_session.store_directory import Directory
from muster_session.tickets import Tickets
from muster_session.usecases_join import CodeDesk, Keys
from muster_session.usecases_removal import Removals
from muster_session.usecases_transitions import Transitions
from muster_session.watchers import Watchers


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The service's stores, streams and helpers."""

    commands: Commands[Room]
    directory: Directory
    arrivals: Arrivals
    transitions: Transitions
    removals: Removals
    code_desk: CodeDesk
    keys: Keys
    tickets: Tickets
    hub: Hub
    watchers: Watchers
    clock: Clock
    settings: SessionServiceSettings

    async def code_length(self) -> int:
        """Return how long a new join code must be."""
        guesses_per_day = self.settings.guess_limits.per_day
        return code_length(await self.directory.live_codes(), guesses_per_day)
