"""Reflection: tools find every contract, in both versions of the protocol."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2
from muster_kit.errors import Reason
from muster_kit.rpc.reflection import reflection_services

from tests.rpc.kit_service import NAME, PACKAGE, Serving, refusal, serve, told

VERSIONS = ["grpc.reflection.v1", "grpc.reflection.v1alpha"]
Question = reflection_pb2.ServerReflectionRequest


async def ask(serving: Serving, version: str, *questions: Any) -> list[Any]:
    """Put questions, all on one stream; the versions are the same on the wire."""
    call = serving.channel.stream_stream(
        f"/{version}.ServerReflection/ServerReflectionInfo",
        Question.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    return [answer async for answer in call(questions)]


def file_in(answer: Any) -> Any:
    [serialized] = answer.file_descriptor_response.file_descriptor_proto
    return FileDescriptorProto.FromString(serialized)


@pytest.mark.parametrize("version", VERSIONS)
async def test_all_services_are_listed(version: str) -> None:
    async with serve() as serving:
        [answer] = await ask(serving, version, Question(list_services=""))
        assert [service.name for service in answer.list_services_response.service] == [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            NAME,
        ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        (NAME, "kit/test/v1/echo.proto"),
        (f"{NAME}.Say", "kit/test/v1/echo.proto"),
        (f"{PACKAGE}.SayRequest.LabelsEntry", "kit/test/v1/echo.proto"),
        (f"{PACKAGE}.SayRequest.text", "kit/test/v1/echo.proto"),
        ("buf.validate.field", "buf/validate/validate.proto"),
        ("buf.validate.Ignore", "buf/validate/validate.proto"),
        ("google.protobuf.Timestamp", "google/protobuf/timestamp.proto"),
        ("google.rpc.BadRequest", "google/rpc/error_details.proto"),
        ("muster.error.v1.ErrorReason", "muster/error/v1/error_reason.proto"),
        ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"),
    ],
)
async def test_a_symbol_leads_to_its_file(version: str, symbol: str, file: str) -> None:
    async with serve() as serving:
        [answer] = await ask(serving, version, Question(file_containing_symbol=symbol))
        assert file_in(answer).name == file


async def test_every_file_can_be_had_with_all_it_imports() -> None:
    async with serve() as serving:
        wanted, had = ["kit/test/v1/echo.proto"], set()
        while wanted:
            [answer] = await ask(serving, VERSIONS[0], Question(file_by_filename=wanted.pop()))
            file = file_in(answer)
            had.add(file.name)
            wanted += set(file.dependency) - had
    assert had >= {
        "buf/validate/validate.proto",
        "google/protobuf/descriptor.proto",
        "google/protobuf/duration.proto",
        "google/protobuf/timestamp.proto",
    }


async def test_the_stable_version_speaks_only_of_itself() -> None:
    services, _ = reflection_services([])
    stable = FileDescriptorProto.FromString(services[1].descriptor.file.serialized_pb)
    assert "v1alpha" not in str(stable)


async def test_extensions_are_found_by_number() -> None:
    options = "google.protobuf.FieldOptions"
    by_number = Question(
        file_containing_extension=reflection_pb2.ExtensionRequest(
            containing_type=options, extension_number=1159
        )
    )
    async with serve() as serving:
        by_type, file = await ask(
            serving, VERSIONS[0], Question(all_extension_numbers_of_type=options), by_number
        )
    assert 1159 in by_type.all_extension_numbers_response.extension_number
    assert file_in(file).name == "buf/validate/validate.proto"


@pytest.mark.parametrize(
    "question",
    [
        Question(file_by_filename="etc/passwd"),
        Question(file_containing_symbol="no.such.Symbol"),
        Question(all_extension_numbers_of_type="no.such.Message"),
        Question(file_containing_extension={"containing_type": "no.such.Message", "extension_number": 1}),
    ],
)
async def test_what_is_not_there_is_not_found_and_the_stream_goes_on(question: Any) -> None:
    async with serve() as serving:
        missing, listed = await ask(serving, VERSIONS[0], question, Question(list_services=""))
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert missing.original_request == question
    assert listed.list_services_response.service


async def test_a_question_without_content_is_invalid() -> None:
    async with serve() as serving:
        [answer] = await ask(serving, VERSIONS[0], Question())
    assert answer.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


async def test_an_open_reflection_does_not_delay_a_drain() -> None:
    async with serve() as serving:
        call = serving.channel.stream_stream(f"/{VERSIONS[0]}.ServerReflection/ServerReflectionInfo")()
        await call.write(Question(list_services="").SerializeToString())
        await call.read()
        async with asyncio.timeout(30):
            await serving.server.drain(60)
        assert await call.code() is grpc.StatusCode.OK


async def buf_curl(serving: Serving, *arguments: str) -> str:
    """Run the real tool against the server."""
    buf = Path(sys.executable).parent / "buf"
    command = [str(buf), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


@pytest.mark.parametrize("version", ["grpc-v1", "grpc-v1alpha"])
async def test_buf_lists_and_calls_methods(version: str) -> None:
    async with serve() as serving:
        url, reflect = f"http://{serving.address}", ("--reflect-protocol", version)
        methods = await buf_curl(serving, *reflect, "--list-methods", url)
        assert f"{NAME}/Say\n" in methods
        assert "grpc.reflection.v1.ServerReflection/ServerReflectionInfo\n" in methods
        [(_, token)] = serving.user
        header = ("--header", f"authorization: {token}")
        said = await buf_curl(serving, *reflect, *header, "--data", '{"text": "hi"}', f"{url}/{NAME}/Say")
        assert '"text":"hi"' in said.replace(" ", "").replace("\n", "")


async def test_what_no_stream_of_questions_is_gets_refused() -> None:
    async with serve() as serving:
        path = f"/{VERSIONS[0]}.ServerReflection/ServerReflectionInfo"
        error = await refusal(serving.channel.stream_stream(path)([b"\xff"]).read())
        assert told(error).reason is Reason.MALFORMED_REQUEST
