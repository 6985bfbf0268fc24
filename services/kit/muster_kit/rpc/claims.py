"""Read a caller out of verified claims, which may still be nonsense: the signer is not always us."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from muster_kit.caller import Caller, CallerKind, OrganizationRole, RoomRole

Claims = Mapping[str, Any]

_ID_LENGTH: Final = 128
_NAME_LENGTH: Final = 100


class ClaimError(ValueError):
    """A claim is missing or is not what it should be."""


def read_user(claims: Claims) -> Caller:
    """Read a user: `sub`, `org`, and optionally `role` (member by default) and `name`."""
    return Caller(
        CallerKind.USER,
        subject=_id(claims, "sub"),
        organization_id=_id(claims, "org"),
        organization_role=_organization_role(claims.get("role", OrganizationRole.MEMBER)),
        display_name=_name(claims),
        expire_time=_expire_time(claims),
    )


def read_service(claims: Claims) -> Caller:
    """Read a service: `sub`, and `org` when it acts for an organization."""
    return Caller(
        CallerKind.SERVICE,
        subject=_id(claims, "sub"),
        organization_id=_id(claims, "org") if "org" in claims else "",
        expire_time=_expire_time(claims),
    )


def read_ticket(claims: Claims) -> Caller:
    """Read the holder of a seat, or a host, who may hold none."""
    generation = claims.get("gen")
    if type(generation) is not int or generation < 0:
        raise ClaimError("gen")
    room_role = _room_role(claims.get("rrole"))
    holds_none = room_role is RoomRole.HOST and "seat" not in claims
    return Caller(
        CallerKind.TICKET,
        subject=_id(claims, "sub"),
        organization_id=_id(claims, "org"),
        organization_role=_organization_role(claims.get("orole")),
        display_name=_name(claims),
        room_id=_id(claims, "room"),
        participant_id="" if holds_none else _id(claims, "seat"),
        room_role=room_role,
        generation=generation,
        expire_time=_expire_time(claims),
    )


def _id(claims: Claims, name: str) -> str:
    value = claims.get(name)
    # Unprintable characters, NUL above all, have no place in ids; PostgreSQL cannot even hold a NUL.
    if not isinstance(value, str) or not 0 < len(value) <= _ID_LENGTH or not value.isprintable():
        raise ClaimError(name)
    return value


def _name(claims: Claims) -> str:
    name = claims.get("name", "")
    if not isinstance(name, str):
        raise ClaimError("name")
    return "".join(filter(str.isprintable, name))[:_NAME_LENGTH]


def _organization_role(value: Any) -> OrganizationRole:
    try:
        return OrganizationRole(value)
    except ValueError:
        raise ClaimError("role") from None


def _room_role(value: Any) -> RoomRole:
    try:
        return RoomRole(value)
    except ValueError:
        raise ClaimError("rrole") from None


def _expire_time(claims: Claims) -> datetime:
    try:
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (KeyError, TypeError, OverflowError, OSError, ValueError):
        raise ClaimError("exp") from None
