"""Turn a bearer token into a caller: a user's token, a service's, or a ticket to a room."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final, Self

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey
from joserfc.jws import CompactSignature, JWSRegistry
from pydantic import SecretStr

from muster_kit.caller import Caller
from muster_kit.clock import Clock, SystemClock
from muster_kit.errors import MusterError, Reason
from muster_kit.recent import Recent
from muster_kit.rpc.claims import Claims, read_service, read_ticket, read_user
from muster_kit.rpc.keys import KeySource
from muster_kit.rpc.tokens import SERVICE_AUDIENCE, SERVICE_TYPE, TICKET_TYPE
from muster_kit.settings import Settings

_LEEWAY_SECONDS: Final = 10
_TOKEN_LENGTH: Final = 8192
_CACHE_SIZE: Final = 16_384
_IDLE_SECONDS: Final = 120.0
"""To verify a token costs a tenth of a millisecond; to remember it for all its life, over a kilobyte."""

# What identity providers put into `typ`: nothing, RFC 7519's word or RFC 9068's.
_USER_TYPES: Final = ("", "jwt", "at+jwt")
_USER_ALGORITHMS: Final = ("RS256", "ES256", "Ed25519", "EdDSA")


class _Algorithms(JWSRegistry):
    """Knows the algorithms we accept; EdDSA means Ed25519, as no other curve is accepted."""

    def __init__(self) -> None:
        accepted = ("HS256", "RS256", "ES256", "Ed25519")
        super().__init__(algorithms=accepted, strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


_ALGORITHMS: Final = _Algorithms()


@dataclass(frozen=True, slots=True)
class _Trust:
    """What one pair of `typ` and `alg` is verified with, and how its claims are read."""

    key: OctKey | KeySource
    rules: jwt.JWTClaimsRegistry
    read: Callable[[Claims], Caller]


class Authenticator:
    """Verifies tokens, and remembers those in use until they expire.

    The pair of `typ` and `alg` in a token's header selects exactly one set of keys, so a token
    signed with one key can never pass as one of another kind. `none` selects nothing.
    """

    def __init__(
        self,
        *,
        user_secret: str = "",
        user_keys: KeySource | None = None,
        user_issuer: str = "",
        user_audience: str = "",
        service_secret: str = "",
        ticket_keys: KeySource | None = None,
        clock: Clock | None = None,
        cache_size: int = _CACHE_SIZE,
    ) -> None:
        """Kinds of tokens for which there is no key are refused."""
        self._clock = clock or SystemClock()
        self._verified = Recent[str, Caller](capacity=cache_size, idle_seconds=_IDLE_SECONDS)
        self._sources = tuple(source for source in (user_keys, ticket_keys) if source)
        self._trusts: dict[tuple[str, str], _Trust] = {}
        users = self._rules(iss=user_issuer, aud=user_audience)
        if user_secret:
            self._trust(_USER_TYPES, ("HS256",), OctKey.import_key(user_secret), users, read_user)
        if user_keys:
            self._trust(_USER_TYPES, _USER_ALGORITHMS, user_keys, users, read_user)
        if service_secret:
            services, key = self._rules(aud=SERVICE_AUDIENCE), OctKey.import_key(service_secret)
            self._trust((SERVICE_TYPE,), ("HS256",), key, services, read_service)
        if ticket_keys:
            self._trust((TICKET_TYPE,), ("Ed25519", "EdDSA"), ticket_keys, self._rules(), read_ticket)

    @classmethod
    def from_settings(cls, settings: Settings, *, clock: Clock | None = None) -> Self:
        """Take keys, issuer and audience from the settings; see their descriptions."""
        ticket_keys = _first_path(
            settings.ticket_jwks_file, settings.ticket_public_key_file, settings.ticket_private_key_file
        )
        return cls(
            user_secret=_plain(settings.user_token_secret),
            user_keys=KeySource(settings.user_jwks) if settings.user_jwks else None,
            user_issuer=settings.user_token_issuer,
            user_audience=settings.user_token_audience,
            service_secret=_plain(settings.service_token_secret),
            ticket_keys=KeySource(str(ticket_keys)) if ticket_keys else None,
            clock=clock,
        )

    async def start(self) -> None:
        """Read the keys; raises when a key file is missing or faulty."""
        for source in self._sources:
            await source.start()

    def recall(self, token: str) -> Caller | None:
        """Return the caller of a token verified before; None when it was not; MusterError if expired."""
        caller = self._verified.get(token)
        if caller is None:
            return None
        if caller.expire_time <= self._clock.now():
            self._verified.drop(token)
            raise MusterError(Reason.TOKEN_INVALID, detail="expired")
        return caller

    async def verify(self, token: str) -> Caller:
        """Return the caller the token names; MusterError(TOKEN_INVALID) when it is not to be trusted."""
        try:
            caller = await self._verify(token)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise MusterError(Reason.TOKEN_INVALID, detail=repr(error)) from error
        if caller.expire_time <= self._clock.now():
            raise MusterError(Reason.TOKEN_INVALID, detail="expired")
        self._verified.put(token, caller)
        return caller

    async def _verify(self, token: str) -> Caller:
        if len(token) > _TOKEN_LENGTH:
            raise ValueError("too long")
        signed = jws.extract_compact(token.encode("ascii"), registry=_ALGORITHMS)
        header = signed.headers()
        trust = self._trusts.get((str(header.get("typ", "")).lower(), str(header["alg"])))
        if trust is None:
            raise ValueError("no key for tokens of this type and algorithm")
        key = await self._key(trust, header)
        if not jws.validate_compact(signed, key, registry=_ALGORITHMS):
            raise ValueError("wrong signature")
        stated = _payload(signed)
        trust.rules.validate(stated)
        return trust.read(stated)

    async def _key(self, trust: _Trust, header: Mapping[str, Any]) -> Key:
        if isinstance(trust.key, OctKey):
            return trust.key
        key_id, algorithm = header.get("kid"), str(header["alg"])
        key = trust.key.find(key_id, algorithm)
        if key is None and await trust.key.refresh():
            # A key that is gone may be one that was stolen: nothing verified with it counts any more.
            self._verified.clear()
            key = trust.key.find(key_id, algorithm)
        if key is None:
            raise ValueError("unknown key")
        return key

    def _trust(
        self,
        types: tuple[str, ...],
        algorithms: tuple[str, ...],
        key: OctKey | KeySource,
        rules: jwt.JWTClaimsRegistry,
        read: Callable[[Claims], Caller],
    ) -> None:
        for pair in product(types, algorithms):
            self._trusts[pair] = _Trust(key, rules, read)

    def _rules(self, **expected: str) -> jwt.JWTClaimsRegistry:
        options: dict[str, jwt.ClaimsOption] = {
            name: {"essential": True, "value": value} for name, value in expected.items() if value
        }
        options["exp"] = {"essential": True}
        return jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock.now().timestamp()), leeway=_LEEWAY_SECONDS, **options
        )


def _payload(signed: CompactSignature) -> dict[str, Any]:
    stated = json.loads(signed.payload)
    if not isinstance(stated, dict):
        raise TypeError("claims are not an object")
    return stated


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _first_path(*paths: Path | None) -> Path | None:
    return next((path for path in paths if path), None)
