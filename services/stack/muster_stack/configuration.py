"""Settings read from the environment, and the environment that `muster up` hands to its children."""

import os
from collections.abc import Mapping
from pathlib import Path

from muster_kit.settings import Settings
from pydantic import ValidationError

from muster_stack.embedded.stores import Stores
from muster_stack.port import split_address
from muster_stack.problem import Problem

ADMIN_VARIABLE = "MUSTER_ADMIN_DATABASE_URL"
"""The address of the database for a role that may make roles; migrations alone look at it."""


def read_settings() -> Settings:
    """The settings in the environment; a Problem that names the variable when one is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(["MUSTER", *(str(part).upper() for part in first["loc"])])
        raise Problem(f"{name} is wrong: {first['msg'].removeprefix('Value error, ')}.") from None


def child_environment(stores: Stores, address: str, ticket_key: Path) -> dict[str, str]:
    """What workers on the embedded stores need, beside what the user has set.

    The user's own token secrets win, those of the state directory are the default; where the stores
    are and what is listened on is not the user's to say.
    """
    secrets = stores.credentials
    defaults = {
        "MUSTER_USER_TOKEN_SECRET": secrets.user_token_secret,
        "MUSTER_SERVICE_TOKEN_SECRET": secrets.service_token_secret,
        "MUSTER_TICKET_PRIVATE_KEY_FILE": str(ticket_key),
    }
    ours = {
        "MUSTER_DATABASE_URL": stores.app_url(),
        "MUSTER_WRITER_DATABASE_URL": stores.writer_url(),
        "MUSTER_OWNER_DATABASE_URL": stores.owner_url(),
        "MUSTER_REDIS_URL": stores.redis_url,
        "MUSTER_LISTEN": address,
    }
    return defaults | os.environ | ours


def of_worker(environment: Mapping[str, str], number: int) -> dict[str, str]:
    """The environment of the worker of that number, counted from 1: each has a metrics port of its own."""
    own = {name: value for name, value in environment.items() if name != "MUSTER_OWNER_DATABASE_URL"}
    if listen := own.get("MUSTER_METRICS_LISTEN"):
        host, port = split_address(listen)
        own["MUSTER_METRICS_LISTEN"] = f"{host}:{port + number - 1}" if port else listen
    return own
