"""Lets go of what has run out, in every process alike: whoever comes first does it."""

import asyncio
import random
from typing import Final

import structlog
from muster_kit.errors import MusterError

from muster_presence.store import PresenceIndex

_SWEEP_SECONDS: Final = 1.0
_MOST_SCOPES: Final = 200
_RETURN_SECONDS: Final = 6.0
"""In this time all processes renew their leases, which may have run out while the index was away."""

_log = structlog.get_logger(__name__)


async def keep_sweeping(index: PresenceIndex) -> None:
    """Sweep about once a second until cancelled; an index that is away is asked again."""
    was_away = False
    while True:
        try:
            if was_away:
                await index.ping()
                is_done = False
            else:
                is_done = await index.sweep(most_scopes=_MOST_SCOPES)
        except MusterError as error:
            if not was_away:
                _log.warning("presence_not_swept", error=str(error))
            is_done = was_away = True
        except Exception:  # noqa: BLE001 - no fault may end what everybody relies on
            _log.exception("presence_not_swept")
            is_done = True
        else:
            if was_away:
                # Whoever is still there has a moment to say so.
                await asyncio.sleep(_RETURN_SECONDS)
            was_away = False
        # Not all processes at once: what one has swept needs no other.
        pause_seconds = _SWEEP_SECONDS * random.uniform(0.5, 1)  # noqa: S311 - spreads load
        await asyncio.sleep(pause_seconds if is_done else 0)
