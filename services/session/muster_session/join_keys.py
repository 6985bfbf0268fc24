"""Keys of private sessions: hashed so that a stolen database does not give them away, verified cheaply."""

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from muster_kit.errors import MusterError, Reason

_THREADS: Final = 2
_MOST_WAITING: Final = 64
_REMEMBERED: Final = 4096
_RETRY_AFTER: Final = timedelta(seconds=1)

T = TypeVar("T")


class JoinKeys:
    """Hashes and verifies keys with Argon2id, in a few threads and with a bounded queue before them.

    A key that fitted is remembered, as a digest under a secret of this process: a thousand people
    who join with the same key cost one verification.
    """

    def __init__(self) -> None:
        # The least that OWASP's Password Storage Cheat Sheet recommends for Argon2id: guesses are few,
        # and each must not cost us much more than it costs the guesser.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="join-keys")
        self._secret = secrets.token_bytes(32)
        self._fitted: OrderedDict[bytes, None] = OrderedDict()
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._waiting = 0
        self._nobodys_hash = ""

    async def hash(self, key: str) -> str:
        """Return what to store of a key; RATE_LIMITED when too many wait already."""
        return await self._in_thread(self._hasher.hash, key)

    def remembers(self, key_hash: str, key: str) -> bool:
        """Tell whether the key is known to be the one, without a verification."""
        digest = self._digest(key_hash, key)
        if digest in self._fitted:
            self._fitted.move_to_end(digest)
            return True
        return False

    async def verify(self, key_hash: str, key: str) -> bool:
        """Tell whether the key is the one; an empty hash fits none, after just as long a time.

        RATE_LIMITED when too many wait already.
        """
        if self.remembers(key_hash, key):
            return True
        digest = self._digest(key_hash, key)
        running = self._running.get(digest)
        if running is None:
            running = self._running[digest] = asyncio.ensure_future(self._verify(key_hash, key, digest))
            running.add_done_callback(lambda _: self._running.pop(digest, None))
        # Whoever goes away must not take the answer from the others.
        return await asyncio.shield(running)

    def close(self) -> None:
        """End the threads, once what they do is done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _digest(self, key_hash: str, key: str) -> bytes:
        return hmac.digest(self._secret, f"{key_hash}\0{key}".encode(), hashlib.sha256)

    async def _verify(self, key_hash: str, key: str, digest: bytes) -> bool:
        if not key_hash and not self._nobodys_hash:
            self._nobodys_hash = await self.hash(secrets.token_hex())
        fits = await self._in_thread(self._fits, key_hash or self._nobodys_hash, key) and bool(key_hash)
        if fits:
            self._fitted[digest] = None
            if len(self._fitted) > _REMEMBERED:
                self._fitted.popitem(last=False)
        return fits

    async def _in_thread(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= _MOST_WAITING:
            raise MusterError(Reason.RATE_LIMITED, retry_after=_RETRY_AFTER, detail="keys wait")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1

    def _fits(self, key_hash: str, key: str) -> bool:
        try:
            return self._hasher.verify(key_hash, key)
        except (Argon2Error, InvalidHashError):
            return False
