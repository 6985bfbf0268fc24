"""A Valkey Cluster of three nodes on loopback, of the same program as the embedded Valkey."""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
cluster-node-timeout 2000"""


_SIZE = 3


class ValkeyCluster:
    """Three primaries without replicas; what can be done with one Valkey is done with all of them."""

    def __init__(self, *, home: Path, log: Path, password: str, site: Site) -> None:
        ports = _free_ports(2 * _SIZE)
        self._ports, self._bus_ports = ports[:_SIZE], ports[_SIZE:]
        self._password = password
        self.nodes: list[Valkey] = []
        for port, bus_port in zip(self._ports, self._bus_ports, strict=True):
            node_home = home / f"cluster-{port}"
            node_home.mkdir()
            network = _NETWORK.format(port=port, bus_port=bus_port)
            self.nodes.append(
                Valkey(home=node_home, log=Log(log), password=password, site=site, network=network)
            )
        self._is_made = False

    @property
    def url(self) -> str:
        """The address, password included."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"redis+cluster://:{quote(self._password, safe='')}@{hosts}"

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
        """Return which node has a key."""
        return key_slot(key.encode()) * _SIZE // REDIS_CLUSTER_HASH_SLOTS

    def client(self, node: int) -> Redis:
        """Return a client of one node alone."""
        return Redis(host="127.0.0.1", port=self._ports[node], password=self._password)

    async def _make(self) -> None:
        for node, (port, bus_port) in enumerate(zip(self._ports, self._bus_ports, strict=True)):
            first, end = (-(-REDIS_CLUSTER_HASH_SLOTS * each // _SIZE) for each in (node, node + 1))
            async with self.client(node) as redis:
                await redis.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
                # Nodes that begin with the same epoch take their time to settle it.
                await redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", node + 1)
            if node:
                async with self.client(0) as redis:
                    await redis.execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus_port)

    async def _is_ready(self) -> bool:
        for node in range(_SIZE):
            async with self.client(node) as redis:
                told: Any = await redis.execute_command("CLUSTER", "INFO")
            if b"cluster_state:ok" not in told or b"cluster_known_nodes:%d" % _SIZE not in told:
                return False
        return True


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody has, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
