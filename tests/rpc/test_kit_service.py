"""A servicer that does not fit its contract stops the start, not the first call."""

from typing import Any

import protovalidate
import pytest
from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from muster_kit.errors import Reason
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.policy import PolicyError, Rule
from muster_kit.rpc.server import Server
from muster_kit.rpc.service import Service

from tests.rpc.kit_service import DESCRIPTOR, POLICY, EchoServicer, SayRequest, refusal, serve, told


def build(servicer: object, descriptor: Any = DESCRIPTOR, policy: Any = POLICY) -> Server:
    services = [Service(descriptor, servicer)]
    return Server(services, authenticator=Authenticator(), policy=policy, listen="127.0.0.1:0")


def test_a_misspelt_method_is_found() -> None:
    class Misspelt(EchoServicer):
        async def Sya(self, request: Any, call: Any) -> None:  # noqa: N802
            """Meant to be Say."""

    with pytest.raises(TypeError, match="has no method Sya"):
        build(Misspelt())


def test_a_method_must_be_a_coroutine_function() -> None:
    class Blocking(EchoServicer):
        def Say(self, request: Any, call: Any) -> Any:  # noqa: N802
            """Would block the loop."""

    with pytest.raises(TypeError, match="not a coroutine function"):
        build(Blocking())


def test_a_method_without_a_rule_is_found() -> None:
    with pytest.raises(PolicyError, match="no rule"):
        build(EchoServicer(), policy={})


def test_a_faulty_rule_of_a_contract_is_found() -> None:
    file = descriptor_pb2.FileDescriptorProto(
        name="kit/test/v1/faulty.proto",
        package="kit.faulty.v1",
        syntax="proto3",
        dependency=["buf/validate/validate.proto"],
    )
    message = file.message_type.add(name="Faulty")
    rule = message.options.Extensions[validate_pb2.message].cel.add()
    rule.id, rule.expression = "faulty", "this.no_such_field > 1"
    service = file.service.add(name="FaultyService")
    service.method.add(name="Do", input_type=".kit.faulty.v1.Faulty", output_type=".kit.faulty.v1.Faulty")
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindServiceByName("kit.faulty.v1.FaultyService")
    with pytest.raises((protovalidate.CompilationError, protovalidate.EvaluationError)):
        build(object(), descriptor, {"kit.faulty.v1.FaultyService/Do": Rule(public=True)})


async def test_what_is_inherited_from_generated_code_is_not_served() -> None:
    class Generated(EchoServicer):
        def Absent(self, _request: Any, context: Any) -> Any:  # noqa: N802
            """As protoc's plugin writes it."""
            context.set_code(12)
            raise NotImplementedError

    Generated.Absent.__module__ = "kit.test.v1.echo_pb2_grpc"
    async with serve(Generated()) as serving:
        error = await refusal(serving.unary(SayRequest(), method="Absent"))
    assert told(error).reason is Reason.UNIMPLEMENTED
