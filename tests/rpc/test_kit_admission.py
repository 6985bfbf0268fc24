"""Who is let in by the kit's server, and by which address."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.errors import Reason
from muster_kit.rpc.call import Call
from muster_kit.rpc.server import AddressError

from tests.rpc.kit_service import (
    EchoServicer,
    Metadata,
    SayRequest,
    SayResponse,
    Serving,
    bearer,
    refusal,
    serve,
    service_token,
    told,
    user_token,
)

QUESTION = SayRequest(text="hello")


@pytest.fixture(scope="module")
async def serving() -> AsyncIterator[Serving]:
    async with serve() as running:
        yield running


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), Reason.TOKEN_INVALID),
        (bearer("nonsense"), Reason.TOKEN_INVALID),
        (bearer(""), Reason.TOKEN_INVALID),
        ((("authorization", "Basic YW5hOmFuYQ=="),), Reason.TOKEN_INVALID),
        (bearer(user_token(lifetime=timedelta(seconds=-1))), Reason.TOKEN_INVALID),
    ],
    ids=["none", "nonsense", "empty", "basic", "expired"],
)
async def test_without_a_valid_token_nobody_is_let_in(
    serving: Serving, metadata: Metadata, reason: Reason
) -> None:
    assert told(await refusal(serving.unary(QUESTION, metadata=metadata))).reason is reason


async def test_who_calls_decides_before_what_is_asked(serving: Serving) -> None:
    assert told(await refusal(serving.unary(b"\xff", metadata=()))).reason is Reason.TOKEN_INVALID


async def test_a_role_the_rule_does_not_name_is_denied(serving: Serving) -> None:
    spectator = serving.ticket(role=RoomRole.SPECTATOR)
    assert told(await refusal(serving.unary(QUESTION, metadata=spectator))).reason is Reason.PERMISSION_DENIED


async def test_tickets_and_services_are_let_in(serving: Serving) -> None:
    for metadata in (serving.ticket(), bearer(service_token())):
        assert (await serving.unary(QUESTION, metadata=metadata)).text == "hello"


async def test_a_public_method_knows_who_shows_a_token(serving: Serving) -> None:
    admin = bearer(user_token(OrganizationRole.ADMIN))
    assert (await serving.unary(QUESTION, method="Ask", metadata=())).text == "public:"
    assert (await serving.unary(QUESTION, method="Ask", metadata=admin)).text == "user:ana"
    denied = await refusal(serving.unary(QUESTION, method="Ask", metadata=serving.user))
    assert told(denied).reason is Reason.PERMISSION_DENIED


async def test_the_peer_address_is_the_clients() -> None:
    async def say(_request: Any, call: Call) -> Any:
        return SayResponse(text=call.peer_address)

    async with serve(EchoServicer(say=say)) as direct:
        forged = (*direct.user, ("x-forwarded-for", "203.0.113.9"))
        assert (await direct.unary(QUESTION, metadata=forged)).text == "127.0.0.1"
    async with serve(EchoServicer(say=say), trusted_proxies=2) as proxied:
        hops = (*proxied.user, ("x-forwarded-for", "forged, 203.0.113.9, 10.0.0.1"))
        assert (await proxied.unary(QUESTION, metadata=hops)).text == "203.0.113.9"
        short = (*proxied.user, ("x-forwarded-for", "203.0.113.9"))
        assert (await proxied.unary(QUESTION, metadata=short)).text == "127.0.0.1"
        unreadable = (*proxied.user, ("x-forwarded-for", "nonsense, 10.0.0.1"))
        assert (await proxied.unary(QUESTION, metadata=unreadable)).text == "127.0.0.1"


async def test_a_port_in_use_is_refused(serving: Serving) -> None:
    with pytest.raises(AddressError, match=serving.address):
        async with serve(listen=serving.address):
            pytest.fail("two servers on one port")


async def test_workers_may_share_a_port() -> None:
    async with (
        serve(reuse_port=True) as one,
        serve(reuse_port=True, listen=one.address) as other,
    ):
        assert one.address == other.address
