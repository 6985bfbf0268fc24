"""Two processes' worth of presence over one database and one Redis."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster_presence.app import build
from muster_presence.settings import PresenceServiceSettings
from muster_stack.hosting import Host

from tests.rpc.house import House, _free_port


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers' parts; each house is the same one but for its presence."""

    houses: list[House]
    apps: list[Any]


@asynccontextmanager
async def open_workers(house: House, settings: PresenceServiceSettings) -> AsyncIterator[Workers]:
    """Run two more workers over the stores of a house."""
    async with AsyncExitStack() as exits:
        houses, apps = [], []
        for _ in range(2):
            address = f"127.0.0.1:{_free_port()}"
            shared = house.settings.model_copy(update={"listen": address})
            app = build(shared, settings)
            await exits.enter_async_context(Host(shared, [app]))
            channel = await exits.enter_async_context(grpc.aio.insecure_channel(address))
            houses.append(replace(house, presence=PresenceServiceStub(channel)))
            apps.append(app)
        yield Workers(houses, apps)
