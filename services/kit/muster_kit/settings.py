"""All settings, read from `MUSTER_…` environment variables and checked once at start."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what is listened on, to what is dialled

Url = Annotated[str, Field(repr=False)]
"""An address that may hold a password: it never shows in a printed settings object."""


class Settings(BaseSettings):
    """What an operator can set; a field `redis_url` is the variable `MUSTER_REDIS_URL`."""

    model_config = SettingsConfigDict(
        env_prefix="MUSTER_", env_ignore_empty=True, hide_input_in_errors=True, frozen=True, extra="forbid"
    )

    database_url: Url = Field("", description="PostgreSQL, as the role the services use (muster_app).")
    writer_database_url: Url = Field(
        "", description="PostgreSQL, as the role of batch writers and timers (muster_writer)."
    )
    owner_database_url: Url = Field(
        "", description="PostgreSQL, as the role that owns the tables; needed by migrations alone."
    )
    database_pool_size: int = Field(
        10,
        ge=1,
        description="Connections a process keeps to each database URL; scoring has up to six more.",
    )
    redis_url: Url = Field(
        "redis://127.0.0.1:6379/0",
        description="Redis or Valkey; of a cluster `redis+cluster://` and some nodes, `host:port,host:port`.",
    )

    listen: str = Field("127.0.0.1:7700", description="Address to serve gRPC on.")
    advertise: str = Field(
        "", description="Address under which others reach this process; default: what it listens on."
    )
    session_address: str = Field("", description="Where the session service is; default: `advertise`.")
    presence_address: str = Field("", description="Where the presence service is; default: `advertise`.")
    scoring_address: str = Field("", description="Where the scoring service is; default: `advertise`.")
    workout_address: str = Field("", description="Where the workout service is; default: `advertise`.")
    metrics_listen: str = Field("", description="Address to serve Prometheus metrics on; default: nowhere.")

    tls_certificate_file: Path | None = Field(
        None, description="PEM certificate chain to serve gRPC with; default: no TLS, for use behind a proxy."
    )
    tls_private_key_file: Path | None = Field(None, description="PEM key of the certificate.")
    tls_ca_file: Path | None = Field(
        None, description="PEM certificates to trust when calling other services; default: call without TLS."
    )

    trusted_proxies: int = Field(
        0, ge=0, description="How many proxies in front add to x-forwarded-for; 0: it is ignored."
    )

    user_token_secret: SecretStr | None = Field(
        None, description="Secret of user tokens signed with HS256, for development; at least 32 characters."
    )
    user_jwks: str = Field(
        "", description="Keys of user tokens as a JWK set: a file, or an https URL (http on loopback alone)."
    )
    user_token_issuer: str = Field("", description="Claim `iss` user tokens must have; default: any.")
    user_token_audience: str = Field("", description="Claim `aud` user tokens must have; default: any.")
    service_token_secret: SecretStr | None = Field(
        None, description="Secret of the tokens services call each other with; at least 32 characters."
    )
    ticket_private_key_file: Path | None = Field(
        None, description="PEM Ed25519 key that signs tickets; session and workout need it."
    )
    ticket_public_key_file: Path | None = Field(
        None, description="PEM Ed25519 key that verifies tickets; default: the one of the private key."
    )
    ticket_jwks_file: Path | None = Field(
        None, description="JWK set that verifies tickets; holds the old and the new key while keys change."
    )
    ticket_lifetime: timedelta = Field(
        timedelta(minutes=15),
        gt=timedelta(0),
        description="How long a ticket is valid, such as PT15M or 00:15:00.",
    )

    heartbeat_seconds: tuple[float, float] = Field(
        (15.0, 25.0), description="A quiet watch stream gets a heartbeat after a random time between these."
    )
    drain_seconds: float = Field(
        10.0, ge=0, description="How long a worker that is told to stop lets running calls finish."
    )
    log_json: bool = Field(True, description="Log as JSON lines; otherwise in colours for people.")

    @field_validator("user_token_secret", "service_token_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        # RFC 7518, 3.2: a key of HS256 must have at least the 256 bits of its hash.
        if secret is not None and len(secret.get_secret_value().encode()) < 32:
            raise ValueError("must have at least 32 characters")
        return secret

    @field_validator("redis_url")
    @classmethod
    def _is_of_redis(cls, address: str) -> str:
        scheme, _, rest = address.partition("://")
        if scheme not in _REDIS_SCHEMES or not rest:
            raise ValueError(f"must begin with one of {', '.join(_REDIS_SCHEMES)} and ://")
        if scheme.endswith("+cluster") and urlsplit(address).path not in {"", "/", "/0"}:
            raise ValueError("a cluster has one database, 0")
        return address

    @field_validator("user_jwks")
    @classmethod
    def _keys_travel_safely(cls, source: str) -> str:
        url = urlsplit(source)
        if url.scheme == "http" and url.hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("must be a file, an https URL, or an http URL on loopback")
        return source

    @field_validator("heartbeat_seconds")
    @classmethod
    def _shortest_first(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError("must be two positive numbers, the smaller first")
        return bounds

    @model_validator(mode="after")
    def _tls_is_a_pair(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_private_key_file is None):
            raise ValueError("tls_certificate_file and tls_private_key_file belong together")
        return self

    @model_validator(mode="before")
    @classmethod
    def _fill_addresses(cls, values: dict[str, object]) -> dict[str, object]:
        listen = str(values.get("listen") or cls.model_fields["listen"].default)
        host, colon, port = listen.rpartition(":")
        advertise = values.get("advertise") or _WILDCARDS.get(host, host) + colon + port
        defaults = dict.fromkeys(
            ("session_address", "presence_address", "scoring_address", "workout_address"), advertise
        )
        return (
            {"advertise": advertise}
            | defaults
            | {name: value for name, value in values.items() if value != ""}
        )
