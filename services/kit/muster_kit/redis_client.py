"""Connects to Redis: to one server, or to a cluster of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from muster_kit.redis_cluster import ClusterClient

_CLUSTER: Final = "+cluster://"
_PORT: Final = 6379
_MOST_CONNECTIONS: Final = 64
_CONNECTION_SECONDS: Final = 5.0
"""Whoever has waited so long for a connection is told that Redis is away."""


def open_redis(url: str, *, patience: timedelta | None = None) -> Redis:
    """Return a client; it connects when it is first used.

    `url` is one that redis-py takes, or `redis+cluster://user:password@host:port,host:port` with some nodes
    of a cluster (`rediss+cluster` with TLS); nobody who uses the client has to know which. With `patience`
    no call waits longer, and none is tried twice. ValueError when the address is none.
    """
    options: dict[str, Any] = {}
    if patience is not None:
        seconds = patience.total_seconds()
        options = {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry": Retry(NoBackoff(), 0),
        }
    scheme, separator, rest = url.partition(_CLUSTER)
    if not separator:
        # A thousand calls at once wait for a connection, rather than that the last nine hundred fail.
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
            url, max_connections=_MOST_CONNECTIONS, timeout=_CONNECTION_SECONDS, **options
        )
        return Redis.from_pool(pool)
    # It has the methods of a Redis, though not its type.
    return cast("Redis", _open_cluster(f"{scheme}://{rest}", options))


@asynccontextmanager
async def listening_server(redis: Redis) -> AsyncIterator[Redis]:
    """Use a client of one server, for connections that listen: of a cluster any, which hears what all do.

    Raises RedisError when there is none.
    """
    client: object = redis
    if isinstance(client, ClusterClient):
        async with client.any_server() as server:
            yield server
    else:
        yield redis


def _open_cluster(url: str, options: dict[str, Any]) -> ClusterClient:
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    addresses = [_address(host) for host in hosts.split(",")]
    # The rest is read as redis-py reads it.
    shared: dict[str, Any] = dict(parse_url(urlunsplit(parts._replace(netloc=f"{credentials}{at}"))))
    if shared.pop("db", 0):
        raise ValueError("a cluster has one database, 0")
    is_encrypted = shared.pop("connection_class", None) is not None
    return ClusterClient(addresses, **{"ssl": is_encrypted, **options, **shared})


def _address(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError("the address of a cluster is a list of host:port")
    return parts.hostname, parts.port or _PORT
