"""A client of a Redis Cluster that can be used wherever one of a single server can."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError, SlotNotCoveredError
from redis.exceptions import TimeoutError as RedisTimeoutError

_LEARN_SECONDS: Final = 0.2
"""So often at most it is asked who has what: while a node is away, calls that others answer go on."""

_CLOCK: Final = "muster:clock"
"""No such key exists: the node that would have it tells the time, to all processes alike."""


class ClusterClient(RedisCluster):
    """Sends each command to the node that has its keys, and finds out when that is another one.

    It differs from its base where services rely on what a single server does: a cluster that is away is a
    RedisError like any other; a call that fails makes the next one look again for who has what, also when it
    was a pipeline; pipelines publish, a channel always through the same node; and time is one node's.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], **options: Any) -> None:
        """`addresses` are some of the nodes, from which the others are learnt; options as of the base.

        With `socket_timeout` no call takes longer than that, looking for nodes included.
        """
        self.most_seconds: float | None = options.get("socket_timeout")
        self._learnt_at = -_LEARN_SECONDS
        super().__init__(
            startup_nodes=[ClusterNode(host, port) for host, port in addresses],
            # Each key that moved is found by itself; the base would cut all connections at every fifth.
            reinitialize_steps=0,
            **options,
        )

    async def initialize(self, *_: Any, **options: Any) -> "ClusterClient":
        """Learn who has what, unless that is known; RedisError when no node tells.

        Those that were given are asked too: all that were learnt from them may be gone.
        """
        if self._initialize and time.monotonic() >= self._learnt_at + _LEARN_SECONDS:
            for node in self.startup_nodes:
                self.nodes_manager.startup_nodes.setdefault(node.name, node)
            try:
                await super().initialize(**options)
            except RedisClusterException as error:
                raise RedisConnectionError(str(error)) from error
            self._learnt_at = time.monotonic()
        return self

    async def aclose(self) -> None:
        """Close all connections; the base leaves them open when it was about to learn who has what."""
        self._initialize = False
        await super().aclose()

    def look_again(self) -> None:
        """Learn anew who has what before the next call."""
        self._initialize = True

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send a command; RedisError when that fails."""
        try:
            async with asyncio.timeout(self.most_seconds):
                await self.initialize()
                return await super().execute_command(*args, **kwargs)
        except TimeoutError as error:
            self.look_again()
            raise RedisTimeoutError("no answer in time") from error
        except SlotNotCoveredError as error:
            self.look_again()
            raise RedisConnectionError(str(error)) from error

    def pipeline(self, transaction: Any = None, *_: Any) -> Any:
        """Return a pipeline; each node gets its part of it, and none waits for another."""
        if transaction:
            raise RedisError("nodes of a cluster share no transaction")
        # Its base takes itself for abstract.
        return cast("Any", _Pipeline)(self)

    async def time(self, **_: Any) -> Any:
        """Return the time of the node that is asked for it by everybody."""
        await self.initialize()
        return await self.execute_command("TIME", target_nodes=self.get_node_from_key(_CLOCK))

    @asynccontextmanager
    async def any_server(self) -> AsyncIterator[Redis]:
        """Connect to one node alone, any of those in the cluster now: each hears all publications."""
        self.look_again()
        async with asyncio.timeout(self.most_seconds):
            await self.initialize()
        node = random.choice(self.get_primaries())  # noqa: S311 - spreads load
        pool: Any = ConnectionPool(connection_class=node.connection_class, **node.connection_kwargs)
        async with Redis.from_pool(pool) as server:
            yield server


class _Pipeline(ClusterPipeline):
    """A pipeline of a ClusterClient."""

    def __init__(self, client: ClusterClient) -> None:
        super().__init__(client)
        self._client = client

    # Its base refuses these two: they could be meant for several nodes.

    def evalsha(self, sha: Any, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script at the node that has its keys."""
        return self.execute_command("EVALSHA", sha, numkeys, *keys_and_args)

    def publish(self, channel: Any, message: Any, **_: Any) -> Any:
        """Tell all who listen at any node."""
        return self.execute_command("PUBLISH", channel, message)

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        """Return the replies; errors among them, unless the first is to be raised."""
        try:
            async with asyncio.timeout(self._client.most_seconds):
                await self._client.initialize()
                replies = await super().execute(False, allow_redirections)
        except TimeoutError as error:
            self._client.look_again()
            raise RedisTimeoutError("no answer in time") from error
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if any(isinstance(error, ClusterClient.ERRORS_ALLOW_RETRY) for error in errors):
            self._client.look_again()
        if errors and raise_on_error:
            raise errors[0]
        return replies
