"""The channel on which services call each other."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.call import Call
from muster_kit.rpc.channel import open_channel
from muster_kit.rpc.options import server_credentials
from muster_kit.rpc.tokens import ServiceTokens
from muster_kit.settings import Settings

from tests.rpc.kit_service import NAME, SECRET, EchoServicer, SayResponse, refusal, serve

TOKENS = ServiceTokens(SECRET[::-1], service="session")


async def tell_caller(_request: Any, call: Call) -> Any:
    return SayResponse(text=f"{call.caller.kind}:{call.caller.subject}:{call.caller.organization_id}")


def say(channel: grpc.aio.Channel) -> Any:
    return channel.unary_unary(f"/{NAME}/Say", response_deserializer=SayResponse.FromString)


async def test_calls_carry_the_services_token() -> None:
    async with (
        serve(EchoServicer(say=tell_caller)) as serving,
        open_channel(serving.address, tokens=TOKENS) as channel,
    ):
        assert (await say(channel)(b"")).text == "service:session:"
        acting = await say(channel)(b"", metadata=TOKENS.metadata("acme"))
        assert acting.text == "service:session:acme"


async def test_streams_carry_it_too() -> None:
    async def watch(request: Any, call: Call) -> None:
        await call.write(await tell_caller(request, call))

    async def talk(call: Call) -> None:
        await watch(None, call)

    async def gather(call: Call) -> Any:
        return await tell_caller(None, call)

    servicer = EchoServicer(watch=watch, talk=talk, gather=gather)
    async with serve(servicer) as serving, open_channel(serving.address, tokens=TOKENS) as channel:
        parse = SayResponse.FromString
        calls = [
            channel.unary_stream(f"/{NAME}/Watch", response_deserializer=parse)(b""),
            channel.stream_stream(f"/{NAME}/Talk", response_deserializer=parse)([]),
        ]
        for call in calls:
            assert [answer.text async for answer in call] == ["service:session:"]
        gathered = channel.stream_unary(f"/{NAME}/Gather", response_deserializer=parse)([])
        assert (await gathered).text == "service:session:"


async def test_a_call_has_a_deadline_even_when_nobody_set_one() -> None:
    async def never(_request: Any, _call: Call) -> None:
        await asyncio.Event().wait()

    async with (
        serve(EchoServicer(say=never)) as serving,
        open_channel(serving.address, tokens=TOKENS, timeout=timedelta(seconds=0.1)) as channel,
    ):
        error = await refusal(say(channel)(b""))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_what_is_away_for_a_moment_is_tried_again() -> None:
    tries = 0

    async def third_time(_request: Any, _call: Call) -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise MusterError(Reason.UNAVAILABLE)
        return SayResponse(text="here")

    async with (
        serve(EchoServicer(say=third_time)) as serving,
        open_channel(serving.address, tokens=TOKENS) as channel,
    ):
        assert (await say(channel)(b"")).text == "here"


@pytest.mark.parametrize("reason", [Reason.NOT_FOUND, Reason.INTERNAL, Reason.RATE_LIMITED])
async def test_what_would_fail_again_is_not(reason: Reason) -> None:
    tries = 0

    async def refuse(_request: Any, _call: Call) -> None:
        nonlocal tries
        tries += 1
        raise MusterError(reason)

    async with (
        serve(EchoServicer(say=refuse)) as serving,
        open_channel(serving.address, tokens=TOKENS) as channel,
    ):
        await refusal(say(channel)(b""))
    assert tries == 1


async def test_the_channel_connects_and_tells_its_state() -> None:
    async with serve() as serving, open_channel(serving.address) as channel, asyncio.timeout(30):
        assert channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.IDLE
        await channel.wait_for_state_change(grpc.ChannelConnectivity.IDLE)
        await channel.channel_ready()
        assert channel.get_state() is grpc.ChannelConnectivity.READY


async def test_certificates_from_the_settings_make_it_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key, ca = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    settings = Settings(tls_certificate_file=certificate, tls_private_key_file=key, tls_ca_file=ca)
    async with (
        serve(EchoServicer(say=tell_caller), credentials=server_credentials(settings)) as serving,
        open_channel(serving.address, tokens=TOKENS, ca_file=settings.tls_ca_file) as channel,
    ):
        assert (await say(channel)(b"")).text == "service:session:"
