"""Tells presence who called: any call of a person, at any service, counts as activity."""

import asyncio
import random
from collections import defaultdict
from typing import Final

import grpc
import structlog
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub

from muster_kit.caller import Caller, CallerKind
from muster_kit.rpc.tokens import ServiceTokens

_EVERY_SECONDS: Final = 3.0
_PEOPLE_A_CALL: Final = 1000

_log = structlog.get_logger(__name__)


class Sightings:
    """Who called this process lately, each person once; presence is told every few seconds.

    Whom it could not be told of is forgotten: they call again, or are not here any more.
    """

    def __init__(
        self, channel: grpc.aio.Channel, tokens: ServiceTokens, *, every_seconds: float = _EVERY_SECONDS
    ) -> None:
        """`channel` leads to the presence service."""
        self._presence = PresenceServiceStub(channel)
        self._tokens = tokens
        self._every_seconds = every_seconds
        # Not bounded by itself: to verify the tokens of so many people takes longer than it is kept.
        self._people: defaultdict[str, set[str]] = defaultdict(set)
        self._was_away = False

    def note(self, caller: Caller) -> None:
        """Note who calls; services and calls without a token are nobody."""
        if caller.kind is CallerKind.USER or caller.kind is CallerKind.TICKET:
            self._people[caller.organization_id].add(caller.subject)

    async def keep_telling(self) -> None:
        """Tell presence until cancelled."""
        while True:
            # Not all processes at once.
            await asyncio.sleep(self._every_seconds * random.uniform(0.8, 1))  # noqa: S311 - spreads load
            people, self._people = self._people, defaultdict(set)
            try:
                for organization_id, user_ids in people.items():
                    await self._tell(organization_id, list(user_ids))
                self._was_away = False
            except grpc.aio.AioRpcError as error:
                if not self._was_away:
                    _log.info("activity_not_told", code=error.code().name, detail=error.details())
                self._was_away = True

    async def _tell(self, organization_id: str, user_ids: list[str]) -> None:
        metadata = self._tokens.metadata(organization_id)
        for start in range(0, len(user_ids), _PEOPLE_A_CALL):
            part = user_ids[start : start + _PEOPLE_A_CALL]
            request = pb.ReportActivityRequest(organization_id=organization_id, user_ids=part)
            await self._presence.ReportActivity(request, metadata=metadata)
