"""The one Redis connection of a process that hears what other workers publish."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis

from muster_kit.redis_client import listening_server

_PING_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 12.0
_RETRY_SECONDS: Final = 0.2
_CONFIRM_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class Listener:
    """Subscribed to whatever is wanted, as long as Redis is there; comes back by itself when it was away.

    `on_message` gets (channel, data). `on_change` is called when `connected` has changed: when Redis
    is lost, and when all channels are subscribed again, messages having been missed in between.
    """

    def __init__(
        self, redis: Redis, *, on_message: Callable[[str, bytes], None], on_change: Callable[[], None]
    ) -> None:
        self.connected = False
        self._away = False
        self._redis = redis
        self._on_message = on_message
        self._on_change = on_change
        self._asked: set[str] = set()
        # By wanted channel: set when it is subscribed, or when waiting for that is of no use. One that is set
        # stands for all of them, as they stay so.
        self._settled: dict[str, asyncio.Event] = {}
        self._is_settled = asyncio.Event()
        self._is_settled.set()
        self._new: set[str] = set()
        self._old: set[str] = set()
        self._changed = asyncio.Event()

    async def subscribe(self, channel: str) -> None:
        """Want a channel; returns when messages are heard from now on, or at once when Redis is away."""
        settled = self._settled.get(channel)
        if settled is None:
            is_asked = channel in self._asked
            settled = self._is_settled if self._away or is_asked else asyncio.Event()
            self._settled[channel] = settled
            self._old.discard(channel)
            if not is_asked:
                self._new.add(channel)
            self._changed.set()
        if not settled.is_set():
            try:
                async with asyncio.timeout(_CONFIRM_SECONDS):
                    await settled.wait()
            except TimeoutError:
                _log.warning("subscription_not_confirmed", channel=channel)

    def unsubscribe(self, channel: str) -> None:
        """Want a channel no more."""
        self._settled.pop(channel, None)
        self._new.discard(channel)
        if channel in self._asked:
            self._old.add(channel)
        self._changed.set()

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except* Exception as errors:  # noqa: BLE001 - without this loop every event would be late
                if not self._away:
                    _log.warning("redis_away", error=repr(errors.exceptions[0]))
            finally:
                self._lose()
            await asyncio.sleep(_RETRY_SECONDS)

    def _lose(self) -> None:
        was_connected, self.connected, self._away = self.connected, False, True
        for channel, settled in self._settled.items():
            settled.set()
            self._settled[channel] = self._is_settled
        if was_connected:
            self._on_change()

    def _connect(self) -> None:
        self.connected, self._away = True, False
        _log.info("redis_connected", channels=len(self._asked))
        self._on_change()

    async def _listen(self) -> None:
        # redis-py's own PubSub reconnects without telling, and what was published meanwhile is lost.
        async with listening_server(self._redis) as server:
            await self._listen_at(cast("Any", server.connection_pool).make_connection())

    async def _listen_at(self, connection: Any) -> None:
        # It would keep the time with asyncio.wait_for, which loses a cancellation that comes in the same
        # moment as the result, before Python 3.12: nobody could end this any more.
        connection.socket_timeout = None
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                await connection.connect()
                self._asked, self._new, self._old = set(), set(self._settled), set()
                await self._ask(connection)
                # The answer comes after those to the subscriptions, and says that all of them count.
                await connection.send_command("PING", check_health=False)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(connection))
                tasks.create_task(self._write(connection))
        finally:
            await connection.disconnect(nowait=True)

    async def _write(self, connection: Any) -> None:
        """Subscribe to what is newly wanted, all of it with one command; ping when there is nothing to do."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PING_SECONDS):
                    await self._changed.wait()
            async with asyncio.timeout(_SILENCE_SECONDS):
                if self._changed.is_set():
                    await self._ask(connection)
                else:
                    await connection.send_command("PING", check_health=False)

    async def _ask(self, connection: Any) -> None:
        self._changed.clear()
        # Kept as they come: thousands would be compared for every one that comes.
        new, old, self._new, self._old = self._new, self._old, set(), set()
        self._asked |= new
        self._asked -= old
        if new:
            await connection.send_command("SUBSCRIBE", *new, check_health=False)
        if old:
            await connection.send_command("UNSUBSCRIBE", *old, check_health=False)

    async def _read(self, connection: Any) -> None:
        while True:
            reply: Any = await connection.read_response(
                disable_decoding=True, timeout=_SILENCE_SECONDS, push_request=True
            )
            if reply is None:
                # A peer that vanished without a word: pings were sent, nothing came back.
                raise ConnectionResetError("Redis is silent")
            match reply:
                case [b"message", bytes(channel), bytes(data)]:
                    self._deliver(channel.decode(), data)
                    # Buffered messages are read without waiting: a burst would outrun streams without a turn.
                    await asyncio.sleep(0)
                case [b"subscribe", bytes(channel), _]:
                    self._settle(channel.decode())
                case b"PONG" | [b"pong", *_] if not self.connected:
                    self._connect()

    def _settle(self, channel: str) -> None:
        settled = self._settled.get(channel)
        if settled is not None:
            settled.set()
            self._settled[channel] = self._is_settled

    def _deliver(self, channel: str, data: bytes) -> None:
        try:
            self._on_message(channel, data)
        except Exception:  # noqa: BLE001 - logged here
            # One bad message must not stop the others.
            _log.exception("message_not_delivered", channel=channel)
