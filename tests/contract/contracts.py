"""Every contract of `protos/`, read from the descriptors of its generated code."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from buf.validate import validate_pb2
from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

PROTOS = Path(__file__).parents[2] / "protos"


def files() -> Iterator[FileDescriptor]:
    """Give every file of ours; what others wrote and we merely carry is not among them."""
    for path in sorted((PROTOS / "muster").rglob("*.proto")):
        module = ".".join(path.relative_to(PROTOS).with_suffix("").parts)
        yield import_module(f"{module}_pb2").DESCRIPTOR


def services() -> list[ServiceDescriptor]:
    """Return every service."""
    return [service for file in files() for service in file.services_by_name.values()]


def methods() -> list[MethodDescriptor]:
    """Return every method of every service."""
    return [method for service in services() for method in service.methods]


def name(method: MethodDescriptor) -> str:
    """Return the full name as policies and exceptions have it: `package.Service/Method`."""
    return f"{method.containing_service.full_name}/{method.name}"


def request_fields() -> list[FieldDescriptor]:
    """Return every field a client can send: those of requests and of our messages in them, each once."""
    found: dict[str, FieldDescriptor] = {}
    for method in methods():
        _collect(method.input_type, found)
    return list(found.values())


def rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """Return the rules of a field; empty when it has none."""
    return field.GetOptions().Extensions[validate_pb2.field]


def is_map(field: FieldDescriptor) -> bool:
    """Tell whether the field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _collect(message: Descriptor, found: dict[str, FieldDescriptor]) -> None:
    for field in message.fields:
        if field.full_name in found:
            continue
        found[field.full_name] = field
        # The entry of a map is bounded at the map.
        if field.message_type and not is_map(field) and field.message_type.full_name.startswith("muster."):
            _collect(field.message_type, found)
