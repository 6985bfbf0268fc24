"""Keep the public keys that verify tokens, and fetch them again when a token names a new one."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import Key, KeySet, OKPKey

_REFRESH_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 5.0
_SIZE_LIMIT: Final = 1 << 20
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_log = structlog.get_logger(__name__)


class KeySource:
    """The keys of a JWK set in a file or at a URL, or of one PEM file with an Ed25519 key.

    A token whose `kid` is unknown makes it look again, at most every 30 s, so that keys can be
    changed without a restart, and forged tokens cannot make us hammer the identity provider.
    """

    def __init__(self, source: str, *, refresh_seconds: float = _REFRESH_SECONDS) -> None:
        """`source` is a path or an https URL; http is accepted on loopback. ValueError otherwise."""
        url = urlsplit(source)
        self._is_url = url.scheme in {"http", "https"}
        if url.scheme == "http" and url.hostname not in _LOOPBACK:
            raise ValueError("keys must be fetched by https")
        self._source = source
        self._refresh_seconds = refresh_seconds
        self._keys = KeySet([])
        self._next_refresh = float("-inf")
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Read the keys; a faulty file raises, an identity provider that is away does not."""
        async with self._lock:
            try:
                await self._load()
            except OSError as error:
                if not self._is_url:
                    raise
                _log.warning("token_keys_not_fetched", source=self._source, error=repr(error))

    def find(self, key_id: str | None, algorithm: str) -> Key | None:
        """Return the key a token names, or the only one when it names none."""
        try:
            return self._keys.get_by_kid(key_id, {"use": "sig", "alg": algorithm})
        except InvalidKeyIdError:
            return None

    async def refresh(self) -> bool:
        """Read the keys again unless that was just done; tell whether they are others than before."""
        seen = self._keys
        async with self._lock:
            if asyncio.get_running_loop().time() >= self._next_refresh:
                try:
                    await self._load()
                except (OSError, ValueError, JoseError) as error:
                    _log.warning("token_keys_not_refreshed", source=self._source, error=repr(error))
            return self._keys is not seen

    async def _load(self) -> None:
        self._next_refresh = asyncio.get_running_loop().time() + self._refresh_seconds
        keys = _parse(await asyncio.to_thread(self._read))
        if keys != self._keys:
            self._keys = keys

    def _read(self) -> bytes:
        if not self._is_url:
            return Path(self._source).read_bytes()
        opener = urllib.request.build_opener(_NoRedirects)
        with opener.open(self._source, timeout=_FETCH_SECONDS) as response:
            body: bytes = response.read(_SIZE_LIMIT)
            return body


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    # A redirect could lead away from https, or to a host nobody configured.
    def redirect_request(self, *_: Any) -> None:
        return None


def _parse(data: bytes) -> KeySet:
    if data.lstrip().startswith(b"-----BEGIN"):
        key = OKPKey.import_key(data)
        # Only the public half is kept: what verifies has no business signing.
        return KeySet([OKPKey.import_key(key.as_dict(private=False))])
    document: Any = json.loads(data)
    try:
        return KeySet.import_key_set({"keys": list(document["keys"])})
    except (KeyError, TypeError):
        raise ValueError("not a JWK set") from None
