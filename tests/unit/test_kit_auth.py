"""Tokens: what is accepted, for how long, and what their claims must be."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import Key, OctKey
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.tokens import (
    SERVICE_TYPE,
    TICKET_TYPE,
    issue_user_token,
)

from tests.unit.tokens_by_hand import (
    ANA,
    IN_AN_HOUR,
    SEAT,
    SERVICE_SECRET,
    USER_SECRET,
    Clock,
    read_key,
    refused,
    sign,
)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_an_identity_providers_token_is_accepted(
    authenticator: Authenticator, provider: dict[str, Key], algorithm: str
) -> None:
    key = provider[algorithm]
    for typ in ("JWT", "at+jwt"):
        caller = await authenticator.verify(sign(ANA, key, algorithm, kid=key.kid, typ=typ))
        assert caller.subject == "ana"


@pytest.mark.parametrize(
    "change",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\x00b"},
        {"sub": "x" * 129},
        {"org": None},
        {"role": "emperor"},
        {"role": 1},
        {"name": ["Ana"]},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1},
        {"exp": 1e300},
        {"exp": True},
        {"nbf": IN_AN_HOUR},
        {"iat": IN_AN_HOUR},
    ],
    # Numbered: two processes that run the tests have to name them alike, and one of these is a time.
)
async def test_claims_that_make_no_sense_are_refused(
    authenticator: Authenticator, change: dict[str, Any]
) -> None:
    claims = {name: value for name, value in (ANA | change).items() if value is not None}
    assert await refused(authenticator, sign(claims, OctKey.import_key(USER_SECRET), "HS256"))


@pytest.mark.parametrize(
    "change", [{"gen": -1}, {"gen": True}, {"gen": "1"}, {"rrole": "king"}, {"seat": ""}], ids=str
)
async def test_tickets_that_make_no_sense_are_refused(
    authenticator: Authenticator, ticket_key: Path, change: dict[str, Any]
) -> None:
    key = read_key(ticket_key)
    assert await refused(authenticator, sign(SEAT | change, key, "Ed25519", typ=TICKET_TYPE))


async def test_a_host_may_hold_no_seat_and_nobody_else(
    authenticator: Authenticator, ticket_key: Path
) -> None:
    key = read_key(ticket_key)
    seatless = {name: value for name, value in SEAT.items() if name != "seat"}
    host = await authenticator.verify(sign(seatless | {"rrole": "host"}, key, "Ed25519", typ=TICKET_TYPE))
    assert (host.room_role, host.participant_id) == (RoomRole.HOST, "")
    for role in ("cohost", "participant", "spectator"):
        assert await refused(authenticator, sign(seatless | {"rrole": role}, key, "Ed25519", typ=TICKET_TYPE))


async def test_a_role_is_member_unless_the_token_says_more(authenticator: Authenticator) -> None:
    claims = {name: value for name, value in ANA.items() if name not in {"role", "name"}}
    caller = await authenticator.verify(sign(claims, OctKey.import_key(USER_SECRET), "HS256"))
    assert (caller.organization_role, caller.display_name) == (OrganizationRole.MEMBER, "")


async def test_names_are_made_harmless(authenticator: Authenticator) -> None:
    claims = ANA | {"name": "A\x00n\u202ea" + "!" * 200}
    caller = await authenticator.verify(sign(claims, OctKey.import_key(USER_SECRET), "HS256"))
    assert caller.display_name == ("Ana" + "!" * 200)[:100]


async def test_a_verified_token_counts_until_it_expires_and_no_longer() -> None:
    clock = Clock()
    authenticator = Authenticator(user_secret=USER_SECRET, clock=clock)
    token = sign(ANA | {"exp": int(clock.time.timestamp()) + 60}, OctKey.import_key(USER_SECRET), "HS256")
    assert authenticator.recall(token) is None
    await authenticator.verify(token)
    clock.time += timedelta(seconds=58)
    assert authenticator.recall(token) is not None
    clock.time += timedelta(seconds=3)
    with pytest.raises(MusterError) as caught:
        authenticator.recall(token)
    assert caught.value.reason is Reason.TOKEN_INVALID
    # Leeway is for clocks that start tokens too early, not for those that end them too late.
    assert await refused(authenticator, token)


async def test_the_memory_of_verified_tokens_is_bounded() -> None:
    authenticator = Authenticator(user_secret=USER_SECRET, cache_size=2)
    key = OctKey.import_key(USER_SECRET)
    first, second, third = (sign(ANA | {"sub": name}, key, "HS256") for name in "abc")
    await authenticator.verify(first)
    await authenticator.verify(second)
    authenticator.recall(first)
    await authenticator.verify(third)
    assert [authenticator.recall(token) is not None for token in (first, second, third)] == [
        True,
        False,
        True,
    ]


async def test_issuer_and_audience_are_demanded_when_set() -> None:
    authenticator = Authenticator(user_secret=USER_SECRET, user_issuer="https://id", user_audience="muster")

    def issue(issuer: str, audience: str) -> str:
        role = OrganizationRole.MEMBER
        return issue_user_token(
            USER_SECRET,
            subject="ana",
            organization_id="acme",
            organization_role=role,
            issuer=issuer,
            audience=audience,
        )

    await authenticator.verify(issue("https://id", "muster"))
    for issuer, audience in (("", ""), ("https://id", ""), ("", "muster"), ("https://other", "muster")):
        assert await refused(authenticator, issue(issuer, audience))


async def test_a_service_token_for_another_audience_is_refused(authenticator: Authenticator) -> None:
    claims = {"sub": "session", "exp": IN_AN_HOUR, "aud": "other"}
    key = OctKey.import_key(SERVICE_SECRET)
    assert await refused(authenticator, sign(claims, key, "HS256", typ=SERVICE_TYPE))
    assert await refused(authenticator, sign({**claims, "aud": ""}, key, "HS256", typ=SERVICE_TYPE))


async def test_without_keys_nothing_is_accepted(ticket_key: Path) -> None:
    token = issue_user_token(
        USER_SECRET, subject="ana", organization_id="acme", organization_role=OrganizationRole.OWNER
    )
    assert await refused(Authenticator(), token)
