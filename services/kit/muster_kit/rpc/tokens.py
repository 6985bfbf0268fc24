"""Issue the tokens that `auth` verifies: users' (for development), services' and tickets."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import KeySetSerialization, OctKey, OKPKey

from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.clock import Clock, SystemClock

TICKET_TYPE: Final = "muster-ticket+jwt"
SERVICE_TYPE: Final = "muster-service+jwt"
SERVICE_AUDIENCE: Final = "muster-service"

Claims = dict[str, Any]

_SYSTEM_CLOCK: Final = SystemClock()
_RENEW_BEFORE: Final = timedelta(minutes=1)
_ORGANIZATIONS_KEPT: Final = 1024


def issue_user_token(
    secret: str,
    *,
    subject: str,
    organization_id: str,
    organization_role: OrganizationRole,
    display_name: str = "",
    lifetime: timedelta = timedelta(hours=12),
    issuer: str = "",
    audience: str = "",
    clock: Clock = _SYSTEM_CLOCK,
) -> str:
    """Return a user token signed with HS256, as an identity provider would for development."""
    claims: Claims = {
        "sub": subject,
        "org": organization_id,
        "role": organization_role.value,
        "name": display_name,
        "iss": issuer,
        "aud": audience,
    }
    claims |= _validity(clock.now(), lifetime)
    return _sign({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(secret))


def issue_service_token(
    secret: str,
    *,
    service: str,
    organization_id: str = "",
    lifetime: timedelta = timedelta(minutes=10),
    clock: Clock = _SYSTEM_CLOCK,
) -> str:
    """Return a token with which `service` calls others, on behalf of an organization or of none."""
    claims: Claims = {"sub": service, "org": organization_id, "aud": SERVICE_AUDIENCE}
    claims |= _validity(clock.now(), lifetime)
    return _sign({"alg": "HS256", "typ": SERVICE_TYPE}, claims, OctKey.import_key(secret))


class ServiceTokens:
    """A service's own tokens, one for each organization it acts for, renewed before they expire."""

    def __init__(
        self,
        secret: str,
        *,
        service: str,
        lifetime: timedelta = timedelta(minutes=10),
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        self._secret = secret
        self._service = service
        self._lifetime = lifetime
        self._clock = clock
        self._issued: dict[str, tuple[datetime, str]] = {}

    def token(self, organization_id: str = "") -> str:
        """Return a token for calls on behalf of the organization that is valid for another minute."""
        now = self._clock.now()
        renew_time, token = self._issued.get(organization_id, (now, ""))
        if renew_time <= now:
            token = issue_service_token(
                self._secret,
                service=self._service,
                organization_id=organization_id,
                lifetime=self._lifetime,
                clock=self._clock,
            )
            if len(self._issued) >= _ORGANIZATIONS_KEPT:
                self._issued.clear()
            self._issued[organization_id] = now + self._lifetime - _RENEW_BEFORE, token
        return token

    def metadata(self, organization_id: str = "") -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call on behalf of the organization."""
        return (("authorization", f"Bearer {self.token(organization_id)}"),)


class TicketSigner:
    """Signs tickets with an Ed25519 key; only the services that seat people have one."""

    def __init__(self, key: OKPKey, *, clock: Clock = _SYSTEM_CLOCK) -> None:
        key.ensure_kid()
        self._key = key
        self._clock = clock
        # RFC 9864 names the algorithm by its curve; "EdDSA" is deprecated.
        self._header = {"alg": "Ed25519", "typ": TICKET_TYPE, "kid": key.kid}

    @classmethod
    def read(cls, path: Path, *, clock: Clock = _SYSTEM_CLOCK) -> "TicketSigner":
        """Read the private key from a PEM file; ValueError when it holds none."""
        key = OKPKey.import_key(path.read_bytes())
        if key.private_key is None or key.curve_name != "Ed25519":
            raise ValueError(f"{path} holds no Ed25519 private key")
        return cls(key, clock=clock)

    def issue(
        self,
        *,
        subject: str,
        organization_id: str,
        organization_role: OrganizationRole,
        room_id: str,
        room_role: RoomRole,
        participant_id: str,
        generation: int,
        display_name: str = "",
        lifetime: timedelta = timedelta(minutes=15),
    ) -> tuple[str, datetime]:
        """Return a ticket and when it expires."""
        validity = _validity(self._clock.now(), lifetime)
        claims: Claims = {
            "sub": subject,
            "org": organization_id,
            "orole": organization_role.value,
            "room": room_id,
            "rrole": room_role.value,
            "seat": participant_id,
            "gen": generation,
            "name": display_name,
        }
        ticket = _sign(self._header, claims | validity, self._key)
        return ticket, datetime.fromtimestamp(validity["exp"], UTC)

    def public_keys(self) -> KeySetSerialization:
        """Return the JWK set that verifies the tickets, to hand to services that sign none."""
        return {"keys": [self._key.as_dict(private=False, use="sig", alg="Ed25519")]}


def write_ticket_key(path: Path) -> None:
    """Make a new Ed25519 key and write it to `path`, readable by its owner alone.

    FileExistsError when the file exists: overwriting it would void every ticket.
    """
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # Created with its mode, so that there is no moment in which others can read it.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


def _validity(now: datetime, lifetime: timedelta) -> Claims:
    issued = int(now.timestamp())
    return {"iat": issued, "exp": int((now + lifetime).timestamp())}


def _sign(header: Mapping[str, object], claims: Claims, key: OctKey | OKPKey) -> str:
    stated = {name: value for name, value in claims.items() if value != ""}
    return jwt.encode(dict(header), stated, key, algorithms=[str(header["alg"])])
