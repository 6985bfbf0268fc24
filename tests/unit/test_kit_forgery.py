"""No token passes as one of another kind or key, and garbage comes to nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import Key, OctKey, OKPKey
from muster_kit.caller import OrganizationRole
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.tokens import (
    SERVICE_TYPE,
    TICKET_TYPE,
    issue_user_token,
)

from tests.unit.tokens_by_hand import (
    ANA,
    SEAT,
    SERVICE_SECRET,
    USER_SECRET,
    encode,
    read_key,
    refused,
    sign,
    sign_parts,
    sign_with_hmac,
)


async def test_every_pair_of_type_and_algorithm_has_its_own_key(
    authenticator: Authenticator, provider: dict[str, Key], ticket_key: Path
) -> None:
    """Whoever holds one key can make tokens of its kind alone: no other type, no other algorithm."""
    signer = read_key(ticket_key)
    users, services = OctKey.import_key(USER_SECRET), OctKey.import_key(SERVICE_SECRET)
    keys: dict[str, tuple[str, Any]] = {
        "user": ("HS256", users),
        "service": ("HS256", services),
        "ticket": ("Ed25519", signer),
        **{name: (name, key) for name, key in provider.items()},
    }
    own = {"user": "JWT", "service": SERVICE_TYPE, "ticket": TICKET_TYPE, **dict.fromkeys(provider, "JWT")}
    for name, (algorithm, key) in keys.items():
        for typ in ("JWT", "at+jwt", SERVICE_TYPE, TICKET_TYPE, "other+jwt"):
            claims = SEAT | {"aud": "muster-service"}
            token = sign(claims, key, algorithm, kid=key.kid, typ=typ)
            if typ in {own[name], own[name].replace("JWT", "at+jwt")}:
                await authenticator.verify(token)
            else:
                assert await refused(authenticator, token), (name, typ)


async def test_a_public_key_is_no_secret(
    authenticator: Authenticator, provider: dict[str, Key], ticket_key: Path
) -> None:
    """The classic confusion: HS256 with what everybody may read of a public key as the secret."""
    public = [provider["RS256"].as_pem(private=False), provider["RS256"].as_der(private=False)]
    public.append(read_key(ticket_key).as_pem(private=False))
    for material in public:
        for typ in ("JWT", TICKET_TYPE, SERVICE_TYPE):
            assert await refused(authenticator, sign_with_hmac(SEAT, material, typ))


@pytest.mark.parametrize("typ", ["JWT", "", TICKET_TYPE, SERVICE_TYPE])
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_unsigned_tokens_are_refused(
    authenticator: Authenticator, typ: str, algorithm: str, signature: str
) -> None:
    parts = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": algorithm, "typ": typ}, SEAT))
    assert await refused(authenticator, f"{parts}.{signature}")


async def test_a_key_in_the_token_itself_is_not_used(authenticator: Authenticator) -> None:
    own = OKPKey.generate_key("Ed25519", auto_kid=True)
    header = {"alg": "Ed25519", "typ": "JWT", "kid": own.kid, "jwk": own.as_dict(private=False)}
    assert await refused(authenticator, sign_parts(header, ANA, own))


async def test_a_changed_token_is_refused(authenticator: Authenticator) -> None:
    token = issue_user_token(
        USER_SECRET, subject="ana", organization_id="acme", organization_role=OrganizationRole.MEMBER
    )
    header, _, signature = token.split(".")
    forged = encode(json.dumps(ANA | {"role": "owner"}).encode())
    assert await refused(authenticator, f"{header}.{forged}.{signature}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.one_of(st.text(), st.lists(st.binary().map(encode), min_size=3, max_size=3).map(".".join)))
async def test_nothing_but_token_invalid_comes_of_garbage(authenticator: Authenticator, token: str) -> None:
    assert await refused(authenticator, token)


@pytest.mark.parametrize("token", ["x" * 9000, encode(b"[" * 5000) + ".e30.AAAA"], ids=["long", "deep"])
async def test_oversized_tokens_are_refused(authenticator: Authenticator, token: str) -> None:
    assert await refused(authenticator, token)
