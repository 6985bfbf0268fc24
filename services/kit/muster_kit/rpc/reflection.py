"""Let tools such as `buf curl` and `grpcurl` ask for the contracts (grpc.reflection, v1 and v1alpha)."""

from collections.abc import Iterable
from typing import Any, Final

import grpc
from google.protobuf.descriptor import Descriptor, FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2

from muster_kit.rpc.call import Call
from muster_kit.rpc.policy import Policy, Rule
from muster_kit.rpc.service import Service

_ALPHA: Final = "grpc.reflection.v1alpha"
_STABLE: Final = "grpc.reflection.v1"

_NOT_FOUND: Final = grpc.StatusCode.NOT_FOUND.value[0]
_INVALID_ARGUMENT: Final = grpc.StatusCode.INVALID_ARGUMENT.value[0]


class Contracts:
    """The files behind some services, and all they import, found by name, symbol or extension."""

    def __init__(self, services: Iterable[ServiceDescriptor], files: Iterable[FileDescriptor] = ()) -> None:
        """`files` are contracts no service names, such as those of error details."""
        self.services = sorted({service.full_name for service in services})
        self._files: dict[str, FileDescriptor] = {}
        self._symbols: dict[str, FileDescriptor] = {}
        self._extensions: dict[str, dict[int, FileDescriptor]] = {}
        for file in (*(service.file for service in services), *files):
            self._add(file)

    def file(self, name: str) -> FileDescriptor | None:
        """Return a file by its path."""
        return self._files.get(name)

    def file_of_symbol(self, name: str) -> FileDescriptor | None:
        """Return the file that declares a service, method, message, field, enum or extension."""
        return self._symbols.get(name)

    def file_of_extension(self, message: str, number: int) -> FileDescriptor | None:
        """Return the file that extends `message` by field `number`."""
        return self._extensions.get(message, {}).get(number)

    def extension_numbers(self, message: str) -> list[int] | None:
        """Return the numbers of a message's extensions; None when there is no such message."""
        return sorted(self._extensions.get(message, ())) if message in self._symbols else None

    def _add(self, file: FileDescriptor) -> None:
        if file.name in self._files:
            return
        self._files[file.name] = file
        for dependency in file.dependencies:
            self._add(dependency)
        for service in file.services_by_name.values():
            self._symbols[service.full_name] = file
            self._symbols.update((method.full_name, file) for method in service.methods)
        for message in file.message_types_by_name.values():
            self._add_message(message, file)
        for enum in file.enum_types_by_name.values():
            self._symbols[enum.full_name] = file
        for extension in file.extensions_by_name.values():
            self._add_extension(extension, file)

    def _add_message(self, message: Descriptor, file: FileDescriptor) -> None:
        self._symbols[message.full_name] = file
        self._symbols.update((field.full_name, file) for field in message.fields)
        self._symbols.update((enum.full_name, file) for enum in message.enum_types)
        for extension in message.extensions:
            self._add_extension(extension, file)
        for nested in message.nested_types:
            self._add_message(nested, file)

    def _add_extension(self, extension: Any, file: FileDescriptor) -> None:
        self._symbols[extension.full_name] = file
        self._extensions.setdefault(extension.containing_type.full_name, {})[extension.number] = file


class ReflectionServicer:
    """Serves one version of the protocol; the versions differ by their package alone."""

    def __init__(self, contracts: Contracts, descriptor: ServiceDescriptor) -> None:
        self._contracts = contracts
        self._response_class: Any = GetMessageClass(descriptor.methods[0].output_type)

    async def ServerReflectionInfo(self, call: Call) -> None:
        """Answer each question of the stream."""
        call.on_draining(call.finish)
        async for request in call.requests():
            await call.write(self._answer(request))

    def _answer(self, request: Any) -> Any:
        response = self._response_class(valid_host=request.host, original_request=request)
        match request.WhichOneof("message_request"):
            case "list_services":
                for name in self._contracts.services:
                    response.list_services_response.service.add(name=name)
            case "file_by_filename":
                _put_file(response, self._contracts.file(request.file_by_filename))
            case "file_containing_symbol":
                _put_file(response, self._contracts.file_of_symbol(request.file_containing_symbol))
            case "file_containing_extension":
                asked = request.file_containing_extension
                _put_file(
                    response, self._contracts.file_of_extension(asked.containing_type, asked.extension_number)
                )
            case "all_extension_numbers_of_type":
                self._put_extension_numbers(response, request.all_extension_numbers_of_type)
            case _:
                _put_error(response, _INVALID_ARGUMENT, "nothing asked")
        return response

    def _put_extension_numbers(self, response: Any, message: str) -> None:
        numbers = self._contracts.extension_numbers(message)
        if numbers is None:
            _put_error(response, _NOT_FOUND, "not found")
            return
        response.all_extension_numbers_response.base_type_name = message
        response.all_extension_numbers_response.extension_number.extend(numbers)


def reflection_services(
    services: Iterable[ServiceDescriptor], files: Iterable[FileDescriptor] = ()
) -> tuple[list[Service], Policy]:
    """Return both versions of the service, which tell of themselves too, and rules that let anyone ask."""
    descriptors = [_service(reflection_pb2.DESCRIPTOR), _service(_stable_version())]
    contracts = Contracts((*services, *descriptors), files)
    rules = {f"{each.full_name}/{each.methods[0].name}": Rule(public=True) for each in descriptors}
    return [Service(each, ReflectionServicer(contracts, each)) for each in descriptors], rules


def _put_file(response: Any, file: FileDescriptor | None) -> None:
    if file is None:
        _put_error(response, _NOT_FOUND, "not found")
    else:
        response.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)


def _put_error(response: Any, code: int, message: str) -> None:
    response.error_response.error_code = code
    response.error_response.error_message = message


def _service(file: FileDescriptor) -> ServiceDescriptor:
    return file.services_by_name["ServerReflection"]


def _stable_version() -> FileDescriptor:
    """Return the file of v1, which is v1alpha in another package; grpcio-reflection has only the latter.

    It goes into a pool of its own, where it cannot collide with anybody's generated v1.
    """
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = "grpc/reflection/v1/reflection.proto"
    file.package = _STABLE
    file.ClearField("options")
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(_ALPHA, _STABLE)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(_ALPHA, _STABLE)
        method.output_type = method.output_type.replace(_ALPHA, _STABLE)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name)
