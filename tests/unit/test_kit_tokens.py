"""The tokens we issue are those we accept, and the keys behind them are kept well."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey
from muster_kit.caller import Caller, CallerKind, OrganizationRole, RoomRole
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.tokens import (
    ServiceTokens,
    TicketSigner,
    issue_service_token,
    issue_user_token,
    write_ticket_key,
)
from muster_kit.settings import Settings

from tests.unit.tokens_by_hand import SERVICE_SECRET, USER_SECRET, Clock, read_key


async def test_the_settings_name_the_keys(tmp_path: Path, ticket_key: Path) -> None:
    signer = TicketSigner.read(ticket_key)
    jwks = tmp_path / "tickets.json"
    jwks.write_text(json.dumps(signer.public_keys()))
    public = tmp_path / "public.pem"
    public.write_bytes(read_key(ticket_key).as_pem(private=False))
    ticket, _ = signer.issue(
        subject="ana",
        organization_id="acme",
        organization_role=OrganizationRole.MEMBER,
        room_id="r",
        room_role=RoomRole.HOST,
        participant_id="s",
        generation=0,
    )
    for given_keys in (
        {"ticket_private_key_file": ticket_key},
        {"ticket_public_key_file": public},
        {"ticket_jwks_file": jwks},
    ):
        settings = Settings(user_token_secret=USER_SECRET, service_token_secret=SERVICE_SECRET, **given_keys)
        authenticator = Authenticator.from_settings(settings)
        await authenticator.start()
        assert (await authenticator.verify(ticket)).room_id == "r"
        assert (await authenticator.verify(issue_service_token(SERVICE_SECRET, service="s"))).subject == "s"


def test_a_ticket_key_is_for_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_ticket_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_ticket_key(path)


def test_a_signer_needs_an_ed25519_private_key(tmp_path: Path, ticket_key: Path) -> None:
    public = tmp_path / "public.pem"
    public.write_bytes(read_key(ticket_key).as_pem(private=False))
    other = tmp_path / "other.pem"
    other.write_bytes(OKPKey.generate_key("X25519").as_pem(private=True))
    for path in (public, other):
        with pytest.raises(ValueError, match="no Ed25519 private key"):
            TicketSigner.read(path)


def test_a_services_own_tokens_are_renewed_before_they_expire() -> None:
    clock = Clock()
    tokens = ServiceTokens(SERVICE_SECRET, service="session", lifetime=timedelta(minutes=10), clock=clock)
    first = tokens.token("acme")
    assert tokens.token("acme") == first
    assert tokens.token("other") != first
    clock.time += timedelta(minutes=9)
    assert tokens.metadata("acme") != (("authorization", f"Bearer {first}"),)


async def test_a_users_token_names_the_user(authenticator: Authenticator) -> None:
    token = issue_user_token(
        USER_SECRET,
        subject="ana",
        organization_id="acme",
        organization_role=OrganizationRole.EDITOR,
        display_name="Ana",
    )
    caller = await authenticator.verify(token)
    assert caller.kind is CallerKind.USER
    assert (caller.subject, caller.organization_id, caller.display_name) == ("ana", "acme", "Ana")
    assert caller.organization_role is OrganizationRole.EDITOR
    assert authenticator.recall(token) is caller


async def test_a_services_token_names_the_service(authenticator: Authenticator) -> None:
    for organization_id in ("", "acme"):
        token = issue_service_token(SERVICE_SECRET, service="session", organization_id=organization_id)
        caller = await authenticator.verify(token)
        assert (caller.kind, caller.subject) == (CallerKind.SERVICE, "session")
        assert caller.organization_id == organization_id


async def test_a_ticket_names_the_seat_and_ends_when_it_says(
    authenticator: Authenticator, ticket_key: Path
) -> None:
    ticket, expire_time = TicketSigner.read(ticket_key).issue(
        subject="ana",
        organization_id="acme",
        organization_role=OrganizationRole.MEMBER,
        room_id="room",
        room_role=RoomRole.COHOST,
        participant_id="seat",
        generation=3,
        display_name="Ana",
        lifetime=timedelta(minutes=5),
    )
    assert await authenticator.verify(ticket) == Caller(
        CallerKind.TICKET,
        subject="ana",
        organization_id="acme",
        organization_role=OrganizationRole.MEMBER,
        display_name="Ana",
        room_id="room",
        participant_id="seat",
        room_role=RoomRole.COHOST,
        generation=3,
        expire_time=expire_time,
    )
