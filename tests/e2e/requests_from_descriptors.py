"""Requests made from the descriptors of their messages: the smallest valid one, and each place in it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from tests.contract.contracts import is_map, rules

NUMBERS: Final = {
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}
"""The types of numbers in the contracts, and what their rules are called."""

_FIT_PATTERNS: Final = ("x", "1", "#000000")


@dataclass(frozen=True, slots=True)
class Place:
    """A field or a required oneof of a request, or of a message in it; `path` is its name for clients."""

    path: str
    what: FieldDescriptor | OneofDescriptor
    request: Message
    find: Callable[[Any], Any]

    def changed(self, change: Callable[[Any], None]) -> Message:
        """Return the request after `change` of the message that holds the field."""
        request: Message = copy_of(self.request)
        change(self.find(request))
        return request


class Requests:
    """Makes requests; `values` are those to use where a rule asks for one.

    They go by the full name of a message, or by the full or the bare name of a field.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def minimal(self, descriptor: Descriptor) -> Any:
        """Return the message with no more in it than its rules demand."""
        if descriptor.full_name in self._values:
            return copy_of(self._values[descriptor.full_name])
        message = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if field.containing_oneof is None and _is_demanded(field):
                self._set(message, field)
        for oneof in descriptor.oneofs:
            if _is_required(oneof):
                self._set(message, oneof.fields[0])
        return message

    def places(self, descriptor: Descriptor) -> Iterator[Place]:
        """Yield all fields there may be, each in a request that is otherwise the smallest to have it."""
        return self._places(self.minimal(descriptor), lambda root: root, "")

    def items(self, field: FieldDescriptor, count: int) -> list[Any]:
        """Return so many valid items of a repeated field."""
        if field.type == FieldDescriptor.TYPE_STRING:
            known = self._values.get(field.name, [])
            return [*known, *(f"x{index}" for index in range(count - len(known)))] if count else []
        return [self._value(field, rules(field).repeated.items) for _ in range(count)]

    def _places(self, root: Message, find: Callable[[Any], Any], path: str) -> Iterator[Place]:
        descriptor = find(root).DESCRIPTOR
        for field in descriptor.fields:
            yield Place(path + field.name, field, root, find)
            if _holds_ours(field):
                yield from self._inner_places(root, find, path, field)
        for oneof in descriptor.oneofs:
            if _is_required(oneof):
                yield Place(path + oneof.name, oneof, root, find)

    def _inner_places(
        self, root: Message, find: Callable[[Any], Any], path: str, field: FieldDescriptor
    ) -> Iterator[Place]:
        name, root = field.name, copy_of(root)
        inner = getattr(find(root), name)
        if field.is_repeated:
            if not inner:
                inner.add().CopyFrom(self.minimal(field.message_type))
            yield from self._places(root, lambda top: getattr(find(top), name)[0], f"{path}{name}[0].")
            return
        if not find(root).HasField(name):
            assign(find(root), name, self.minimal(field.message_type))
        yield from self._places(root, lambda top: getattr(find(top), name), f"{path}{name}.")

    def _set(self, message: Any, field: FieldDescriptor) -> None:
        if field.is_repeated:
            fill(message, field.name, self.items(field, max(rules(field).repeated.min_items, 1)))
        else:
            assign(message, field.name, self._value(field, rules(field)))

    def _value(self, field: FieldDescriptor, found: validate_pb2.FieldRules) -> Any:
        known = self._values.get(field.full_name, self._values.get(field.name))
        if known is not None:
            return known
        if field.message_type is not None:
            return self._message(field.message_type, found)
        if field.type == FieldDescriptor.TYPE_ENUM:
            unfit = {0, *found.enum.not_in}
            return next(number for number in field.enum_type.values_by_number if number not in unfit)
        if field.type == FieldDescriptor.TYPE_STRING:
            fitting = (text for text in _FIT_PATTERNS if re.search(found.string.pattern, text))
            return next(fitting) * max(found.string.min_len, 1)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return b"x" * max(found.bytes.min_len, 1)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return True
        return getattr(found, NUMBERS[field.type]).gte or 1

    def _message(self, descriptor: Descriptor, found: validate_pb2.FieldRules) -> Message:
        if descriptor is Duration.DESCRIPTOR:
            return found.duration.gte
        if descriptor is Timestamp.DESCRIPTOR:
            return Timestamp(seconds=1)
        message: Message = self.minimal(descriptor)
        return message


def _holds_ours(field: FieldDescriptor) -> bool:
    """Tell whether the field holds messages with rules of their own."""
    kind = field.message_type
    return kind is not None and not is_map(field) and kind.full_name.startswith("muster.")


def _is_demanded(field: FieldDescriptor) -> bool:
    """Tell whether the field must be set: an empty one would break a rule."""
    found = rules(field)
    if found.required or field.is_repeated:
        return bool(found.required or found.repeated.min_items)
    if field.type in NUMBERS:
        bounds = getattr(found, NUMBERS[field.type])
        return bool(bounds.gte > 0 or (bounds.HasField("gt") and bounds.gt >= 0))
    return bool(
        found.string.min_len
        or found.bytes.min_len
        or (found.string.pattern and not re.search(found.string.pattern, ""))
        or 0 in found.enum.not_in
    )


def _is_required(oneof: OneofDescriptor) -> bool:
    return bool(oneof.GetOptions().Extensions[validate_pb2.oneof].required)


def assign(message: Any, name: str, value: Any) -> None:
    """Set a singular field; an empty message is set, too."""
    if isinstance(value, Message):
        getattr(message, name).CopyFrom(value)
        getattr(message, name).SetInParent()
    else:
        setattr(message, name, value)


def fill(message: Any, name: str, values: list[Any]) -> None:
    """Set a repeated field."""
    message.ClearField(name)
    getattr(message, name).extend(values)


def copy_of(message: Any) -> Any:
    """Return a message that can be changed."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
