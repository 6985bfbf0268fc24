"""`muster up`: embedded stores, migrations and workers over one state directory, until told to stop."""

import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from muster_stack.configuration import ADMIN_VARIABLE, child_environment, of_worker, read_settings
from muster_stack.credentials import ticket_key_of
from muster_stack.embedded.log import Log
from muster_stack.embedded.stores import DATABASE, Stores, prepare_stores
from muster_stack.port import reserve
from muster_stack.problem import Problem
from muster_stack.processes import Worker, run_job
from muster_stack.services import schema_fingerprint
from muster_stack.state import Running, State
from muster_stack.supervisor import Report, kept, started, until_told


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: port 0 is any free port."""

    state: Path
    host: str
    port: int
    workers: int
    services: Sequence[str]


@dataclass(frozen=True, slots=True)
class Serving:
    """What runs, once it does."""

    address: str
    state: Path
    services: Sequence[str]
    workers: int
    environment: Mapping[str, str]


async def run(plan: Plan, *, while_serving: Callable[[Serving], Awaitable[None]], report: Report) -> None:
    """Serve until `while_serving` returns, or SIGINT, SIGTERM or SIGHUP comes; a Problem when it cannot.

    Whatever ends meanwhile is started again and told to `report`. Workers stop first, then Valkey, then
    PostgreSQL, so that nothing acknowledged is cut off.
    """
    if sys.platform != "linux":
        raise Problem(
            "`muster up` runs on Linux; elsewhere use `muster serve` with PostgreSQL and Redis of your own."
        )
    state = State(plan.state)
    state.prepare()
    with state.locked(), reserve(plan.host, plan.port) as port:
        stack = _Stack(plan, state, port.address, report)
        await until_told(lambda: stack.run(while_serving), hurry=stack.hurry)


class _Stack:
    """The processes of one run."""

    def __init__(self, plan: Plan, state: State, address: str, report: Report) -> None:
        self._plan = plan
        self._state = state
        self._address = address
        self._report = report
        self._workers: list[Worker] = []
        self._drain_seconds = read_settings().drain_seconds

    async def run(self, while_serving: Callable[[Serving], Awaitable[None]]) -> None:
        """Start everything, keep it running while `while_serving` does its work, stop everything."""
        stores = await prepare_stores(self._state)
        environment = child_environment(stores, self._address, ticket_key_of(self._state.root))
        try:
            async with started([stores.postgres]), started([stores.valkey]):
                await self._migrate(stores, environment)
                self._workers = self._make_workers(environment)
                async with started(self._workers):
                    self._state.announce(Running.here(self._address))
                    async with kept([stores.postgres, stores.valkey, *self._workers], self._report):
                        await while_serving(self._serving(environment))
        finally:
            self._state.remove_sockets()

    def hurry(self) -> None:
        """Cut the workers' drain short."""
        for worker in self._workers:
            worker.send(signal.SIGTERM)

    async def _migrate(self, stores: Stores, environment: Mapping[str, str]) -> None:
        await stores.ensure_database()
        catalog, fingerprint = stores.postgres.catalog(), schema_fingerprint()
        # The job takes a second to find that there is nothing to do; the database itself knows.
        if await catalog.note(DATABASE) == fingerprint:
            return
        admin = {ADMIN_VARIABLE: stores.admin_url(DATABASE)}
        log = Log(self._state.logs / "migration.log")
        await run_job("muster_stack.migration", environment={**environment, **admin}, log=log)
        await catalog.set_note(DATABASE, fingerprint)

    def _make_workers(self, environment: Mapping[str, str]) -> list[Worker]:
        return [
            Worker(
                number,
                self._plan.services,
                environment=of_worker(environment, number),
                drain_seconds=self._drain_seconds,
                log=Log(self._state.logs / f"worker-{number}.log"),
            )
            for number in range(1, self._plan.workers + 1)
        ]

    def _serving(self, environment: Mapping[str, str]) -> Serving:
        plan = self._plan
        return Serving(self._address, self._state.root, plan.services, plan.workers, environment)
