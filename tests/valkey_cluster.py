"""A Valkey Cluster on loopback, of the same program as the embedded Valkey."""

import asyncio
import contextlib
import secrets
import socket
from functools import partial
from pathlib import Path
from typing import Any

from muster_stack.embedded.log import Log
from muster_stack.embedded.site import Site
from muster_stack.embedded.valkey import Valkey
from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.waiting import until

_NETWORK = """\
port {port}
bind 127.0.0.1
cluster-enabled yes
cluster-port {bus_port}
cluster-config-file nodes.conf
cluster-node-timeout 2000
primaryauth {password}"""


class ValkeyCluster:
    """Primaries, and replicas of the first of them; what can be done with one Valkey is done with all."""

    def __init__(self, *, home: Path, log: Path, site: Site, primaries: int = 3, replicas: int = 0) -> None:
        size = primaries + replicas
        ports = _free_ports(2 * size)
        self._ports, self._bus_ports = ports[:size], ports[size:]
        self._primaries = primaries
        self._password = secrets.token_hex()
        self.nodes: list[Valkey] = []
        for port, bus_port in zip(self._ports, self._bus_ports, strict=True):
            node_home = home / f"cluster-{port}"
            node_home.mkdir()
            network = _NETWORK.format(port=port, bus_port=bus_port, password=self._password)
            self.nodes.append(
                Valkey(home=node_home, log=Log(log), password=self._password, site=site, network=network)
            )
        self._is_made = False

    @property
    def url(self) -> str:
        """The address, password included."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"redis+cluster://:{self._password}@{hosts}"

    @property
    def pid(self) -> int | None:
        """The process id of the first while all run."""
        pids = [node.pid for node in self.nodes]
        return pids[0] if all(pids) else None

    async def start(self) -> None:
        """Start those that do not run; returns when all slots are served."""
        await asyncio.gather(*(node.start() for node in self.nodes if node.pid is None))
        if not self._is_made:
            await self._make()
            self._is_made = True
        await until(self._is_ready)

    async def stop(self) -> None:
        """Stop all cleanly."""
        await asyncio.gather(*(node.stop() for node in self.nodes))

    def kill(self) -> None:
        """Kill all as a crash would."""
        for node in self.nodes:
            node.kill()

    async def wait(self) -> int:
        """Wait for the end of all; return the exit code of the first."""
        return (await asyncio.gather(*(node.wait() for node in self.nodes)))[0]

    def node_of(self, key: str) -> int:
        """Return which node has a key, as long as nothing was moved."""
        return key_slot(key.encode()) * self._primaries // REDIS_CLUSTER_HASH_SLOTS

    def client(self, node: int) -> Redis:
        """Return a client of one node alone."""
        return Redis(host="127.0.0.1", port=self._ports[node], password=self._password)

    async def _make(self) -> None:
        for node, (port, bus_port) in enumerate(zip(self._ports, self._bus_ports, strict=True)):
            async with self.client(node) as redis:
                if node < self._primaries:
                    first, end = (self._first_slot(each) for each in (node, node + 1))
                    await redis.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
                # Nodes that begin with the same epoch take their time to settle it.
                await redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", node + 1)
            if node:
                async with self.client(0) as redis:
                    await redis.execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus_port)
        async with self.client(0) as redis:
            primary_id = await redis.execute_command("CLUSTER", "MYID")
        for node in range(self._primaries, len(self.nodes)):
            async with self.client(node) as redis:
                await until(partial(_knows, redis, primary_id))
                await redis.execute_command("CLUSTER", "REPLICATE", primary_id)
                await until(partial(_follows, redis))

    def _first_slot(self, node: int) -> int:
        return -(-REDIS_CLUSTER_HASH_SLOTS * node // self._primaries)

    async def _is_ready(self) -> bool:
        for node in range(len(self.nodes)):
            async with self.client(node) as redis:
                told: Any = await redis.execute_command("CLUSTER", "INFO")
            if b"cluster_state:ok" not in told or b"cluster_known_nodes:%d" % len(self.nodes) not in told:
                return False
        return True


async def _knows(redis: Redis, node_id: bytes) -> bool:
    nodes: Any = await redis.execute_command("CLUSTER", "NODES")
    return node_id in nodes


async def _follows(redis: Redis) -> bool:
    info: Any = await redis.info("replication")
    return bool(info.get("master_link_status") == "up")


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody has, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
