"""A small service for tests of the kit's server: its contract, made here, and ways to serve and call it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest
from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.errors import MusterError
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.call import Call
from muster_kit.rpc.keys import KeySource
from muster_kit.rpc.options import Limits
from muster_kit.rpc.policy import Policy, Rule
from muster_kit.rpc.revocations import Revocations
from muster_kit.rpc.server import Server
from muster_kit.rpc.service import Service
from muster_kit.rpc.status import received
from muster_kit.rpc.tokens import TicketSigner, issue_service_token, issue_user_token, write_ticket_key

SECRET = "for the tests of the kit alone, 32+"
PACKAGE = "kit.test.v1"
NAME = f"{PACKAGE}.EchoService"

Metadata = tuple[tuple[str, str], ...]
Behaviour = Callable[..., Awaitable[Any]]


def _contract() -> Any:
    """The file of the contract.

    message Item { string name = 1 [min_len 1]; }
    message SayRequest {
      string text = 1 [max_len 20]; repeated Item items = 2; map<string, Item> labels = 3;
      google.protobuf.Timestamp sent = 4;
    }
    message SayResponse { string text = 1; }
    """
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="kit/test/v1/echo.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=["buf/validate/validate.proto", "google/protobuf/timestamp.proto"],
    )

    def add_field(
        message: Any, name: str, number: int, type_name: str = "", *, repeated: bool = False
    ) -> Any:
        return message.field.add(
            name=name,
            number=number,
            type=kinds.TYPE_MESSAGE if type_name else kinds.TYPE_STRING,
            type_name=type_name or None,
            label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
        )

    item = file.message_type.add(name="Item")
    add_field(item, "name", 1).options.Extensions[validate_pb2.field].string.min_len = 1
    request = file.message_type.add(name="SayRequest")
    add_field(request, "text", 1).options.Extensions[validate_pb2.field].string.max_len = 20
    add_field(request, "items", 2, f".{PACKAGE}.Item", repeated=True)
    entry = request.nested_type.add(name="LabelsEntry")
    entry.options.map_entry = True
    add_field(entry, "key", 1)
    add_field(entry, "value", 2, f".{PACKAGE}.Item")
    add_field(request, "labels", 3, f".{PACKAGE}.SayRequest.LabelsEntry", repeated=True)
    add_field(request, "sent", 4, ".google.protobuf.Timestamp")
    add_field(file.message_type.add(name="SayResponse"), "text", 1)
    service = file.service.add(name="EchoService")
    for name, client_streaming, server_streaming in (
        ("Say", False, False),
        ("Ask", False, False),
        ("Watch", False, True),
        ("Gather", True, False),
        ("Talk", True, True),
        ("Absent", False, False),
        ("AbsentWatch", False, True),
    ):
        service.method.add(
            name=name,
            input_type=f".{PACKAGE}.SayRequest",
            output_type=f".{PACKAGE}.SayResponse",
            client_streaming=client_streaming,
            server_streaming=server_streaming,
        )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name)


CONTRACT = _contract()
DESCRIPTOR = CONTRACT.services_by_name["EchoService"]
Item: Any = GetMessageClass(CONTRACT.message_types_by_name["Item"])
SayRequest: Any = GetMessageClass(CONTRACT.message_types_by_name["SayRequest"])
SayResponse: Any = GetMessageClass(CONTRACT.message_types_by_name["SayResponse"])

_SEATED = Rule(
    users=frozenset(OrganizationRole), tickets=frozenset({RoomRole.HOST, RoomRole.PARTICIPANT}), services=True
)
POLICY: Policy = {
    **{f"{NAME}/{name}": _SEATED for name in ("Say", "Watch", "Gather", "Talk", "Absent", "AbsentWatch")},
    f"{NAME}/Ask": Rule(public=True, users=frozenset({OrganizationRole.ADMIN})),
}


async def echo(request: Any, _: Call) -> Any:
    """Answer with the text of the request."""
    return SayResponse(text=request.text)


@dataclass
class EchoServicer:
    """Does what a test puts in; echoes by default."""

    say: Behaviour = echo
    watch: Behaviour = echo
    gather: Behaviour = echo
    talk: Behaviour = echo

    async def Say(self, request: Any, call: Call) -> Any:  # noqa: N802
        return await self.say(request, call)

    async def Ask(self, _: Any, call: Call) -> Any:  # noqa: N802
        return SayResponse(text=f"{call.caller.kind}:{call.caller.subject}")

    async def Watch(self, request: Any, call: Call) -> None:  # noqa: N802
        await self.watch(request, call)

    async def Gather(self, call: Call) -> Any:  # noqa: N802
        return await self.gather(call)

    async def Talk(self, call: Call) -> None:  # noqa: N802
        await self.talk(call)


@dataclass(frozen=True)
class Serving:
    """A running server, and a channel to it."""

    server: Server
    channel: grpc.aio.Channel
    address: str
    signer: TicketSigner
    user: Metadata = field(default_factory=lambda: bearer(user_token()))

    def unary(
        self, request: Any, *, method: str = "Say", metadata: Metadata | None = None, **kwargs: Any
    ) -> Any:
        """Call a unary method, as a user unless told otherwise; bytes are sent as they are."""
        call = self.channel.unary_unary(f"/{NAME}/{method}", _serialize, SayResponse.FromString)
        return call(request, metadata=self.user if metadata is None else metadata, **kwargs)

    def stream(
        self, request: Any, *, method: str = "Watch", metadata: Metadata | None = None, **kwargs: Any
    ) -> Any:
        """Open a response stream."""
        call = self.channel.unary_stream(f"/{NAME}/{method}", _serialize, SayResponse.FromString)
        return call(request, metadata=self.user if metadata is None else metadata, **kwargs)

    def gather(self, requests: Any = None, **kwargs: Any) -> Any:
        """Open a request stream."""
        call = self.channel.stream_unary(f"/{NAME}/Gather", _serialize, SayResponse.FromString)
        return call(requests, metadata=self.user, **kwargs)

    def talk(self, requests: Any = None, **kwargs: Any) -> Any:
        """Open a stream both ways."""
        call = self.channel.stream_stream(f"/{NAME}/Talk", _serialize, SayResponse.FromString)
        return call(requests, metadata=self.user, **kwargs)

    def ticket(
        self,
        *,
        room: str = "room",
        seat: str = "seat",
        generation: int = 1,
        role: RoomRole = RoomRole.PARTICIPANT,
    ) -> Metadata:
        """The metadata of a ticket's holder."""
        ticket, _ = self.signer.issue(
            subject="ana",
            organization_id="acme",
            organization_role=OrganizationRole.MEMBER,
            room_id=room,
            room_role=role,
            participant_id=seat,
            generation=generation,
        )
        return bearer(ticket)


@asynccontextmanager
async def serve(
    servicer: EchoServicer | None = None,
    *,
    revocations: Revocations | None = None,
    limits: Limits | None = None,
    listen: str = "127.0.0.1:0",
    **options: Any,
) -> AsyncIterator[Serving]:
    """Serve the contract on a free port of loopback."""
    with TemporaryDirectory() as directory:
        key_file = Path(directory) / "ticket.pem"
        write_ticket_key(key_file)
        signer = TicketSigner.read(key_file)
        ticket_keys = KeySource(str(key_file))
        await ticket_keys.start()
    authenticator = Authenticator(user_secret=SECRET, service_secret=SECRET[::-1], ticket_keys=ticket_keys)
    server = Server(
        [Service(DESCRIPTOR, servicer or EchoServicer())],
        authenticator=authenticator,
        policy=POLICY,
        listen=listen,
        revocations=revocations,
        limits=limits or Limits(),
        **options,
    )
    address = f"127.0.0.1:{await server.start()}"
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield Serving(server, channel, address, signer)
    finally:
        await server.drain(0.0)


def user_token(role: OrganizationRole = OrganizationRole.MEMBER, **kwargs: Any) -> str:
    """A token of the user `ana`."""
    return issue_user_token(SECRET, subject="ana", organization_id="acme", organization_role=role, **kwargs)


def service_token() -> str:
    """A token of another service."""
    return issue_service_token(SECRET[::-1], service="session", organization_id="acme")


def bearer(token: str) -> Metadata:
    """The metadata that shows a token."""
    return (("authorization", f"Bearer {token}"),)


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    """How a call failed."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def told(error: grpc.aio.AioRpcError) -> MusterError:
    """What the status details say."""
    explained = received(error)
    assert explained is not None, error
    return explained


@asynccontextmanager
async def hearing(revocations: Revocations) -> AsyncIterator[Revocations]:
    """Revocations made elsewhere are heard while this is entered."""
    task = asyncio.create_task(revocations.run())
    try:
        async with asyncio.timeout(30):
            await revocations.listening()
        yield revocations
    finally:
        # Once is not enough: before Python 3.12, the Redis client may lose a cancellation.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=0.1)


def _serialize(message: Any) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()
