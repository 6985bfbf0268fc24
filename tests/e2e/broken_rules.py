"""Requests that break one rule of their contract each, made from the descriptors."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from tests.contract.contracts import is_map, rules
from tests.e2e.requests_from_descriptors import NUMBERS, Place, Requests, assign, fill

# What a bound is missed by.
_BEYOND: Final = {"gte": -1, "gt": 0, "lte": 1, "lt": 0}
_NO_VALUE_OF_AN_ENUM: Final = 9_999
_FITS_NO_PATTERN: Final = "!"


@dataclass(frozen=True, slots=True)
class Breach:
    """A request that breaks one rule, such as `string.max_len`, and the path that must be named for it."""

    path: str
    rule: str
    request: Message


def breaches(requests: Requests, descriptor: Descriptor) -> Iterator[Breach]:
    """Yield for every rule of the message, and of those in it, a request that breaks just this one."""
    for place in requests.places(descriptor):
        if isinstance(place.what, FieldDescriptor):
            yield from _of_field(requests, place, place.what)
        else:
            yield _without(place, "oneof.required", place.what.name)


def _of_field(requests: Requests, place: Place, field: FieldDescriptor) -> Iterator[Breach]:
    found = rules(field)
    if found.required:
        yield _without(place, "required", field.name)
    if is_map(field):
        yield from _of_map(place, field, found.map)
    elif field.is_repeated:
        yield from _of_list(requests, place, field, found.repeated)
    else:
        for rule, value in _bad_values(field, found):
            change = partial(assign, name=field.name, value=value)
            yield Breach(place.path, rule, place.changed(change))


def _of_list(
    requests: Requests, place: Place, field: FieldDescriptor, found: validate_pb2.RepeatedRules
) -> Iterator[Breach]:
    def holding(rule: str, values: list[Any], suffix: str = "") -> Breach:
        request = place.changed(partial(fill, name=field.name, values=values))
        return Breach(place.path + suffix, f"repeated.{rule}", request)

    if found.min_items:
        yield holding("min_items", requests.items(field, found.min_items - 1))
    if found.max_items:
        yield holding("max_items", requests.items(field, found.max_items + 1))
    if found.unique:
        yield holding("unique", requests.items(field, 1) * 2)
    others = requests.items(field, found.min_items)[1:]
    for rule, value in _bad_values(field, found.items):
        yield holding(f"items.{rule}", [value, *others], "[0]")


def _of_map(place: Place, field: FieldDescriptor, found: validate_pb2.MapRules) -> Iterator[Breach]:
    """Yield breaches of the rules of a map from text to text; there is no other."""

    def putting(rule: str, pairs: Mapping[str, str], suffix: str = "") -> Breach:
        request = place.changed(lambda message: getattr(message, field.name).update(pairs))
        return Breach(place.path + suffix, f"map.{rule}", request)

    if found.max_pairs:
        yield putting("max_pairs", {f"k{index}": "" for index in range(found.max_pairs + 1)})
    keys, values = field.message_type.fields
    for rule, key in _bad_values(keys, found.keys):
        yield putting(f"keys.{rule}", {key: ""}, f'["{key}"]')
    for rule, value in _bad_values(values, found.values):
        yield putting(f"values.{rule}", {"k": value}, '["k"]')


def _without(place: Place, rule: str, name: str) -> Breach:
    return Breach(place.path, rule, place.changed(lambda message: message.ClearField(name)))


def _bad_values(field: FieldDescriptor, found: validate_pb2.FieldRules) -> Iterator[tuple[str, Any]]:
    """Yield each rule about a single value, with a value that breaks it."""
    if field.type == FieldDescriptor.TYPE_STRING:
        yield from _bad_texts("string", found.string, "x")
        if found.string.pattern:
            yield "string.pattern", _FITS_NO_PATTERN
    elif field.type == FieldDescriptor.TYPE_BYTES:
        yield from _bad_texts("bytes", found.bytes, b"x")
    elif field.type == FieldDescriptor.TYPE_ENUM:
        if found.enum.defined_only:
            yield "enum.defined_only", _NO_VALUE_OF_AN_ENUM
        yield from (("enum.not_in", number) for number in found.enum.not_in)
    elif field.type == FieldDescriptor.TYPE_BOOL:
        if found.bool.HasField("const"):
            yield "bool.const", not found.bool.const
    elif field.type in NUMBERS:
        yield from _bad_numbers(NUMBERS[field.type], found)
    elif field.message_type is Duration.DESCRIPTOR:
        yield from _bad_durations(found.duration)


def _bad_texts(kind: str, found: Any, unit: Any) -> Iterator[tuple[str, Any]]:
    if found.min_len:
        yield f"{kind}.min_len", unit * (found.min_len - 1)
    if found.max_len:
        yield f"{kind}.max_len", unit * (found.max_len + 1)


def _bad_numbers(kind: str, found: validate_pb2.FieldRules) -> Iterator[tuple[str, Any]]:
    bounds = getattr(found, kind)
    for name in _BEYOND:
        if bounds.HasField(name):
            yield f"{kind}.{name}", getattr(bounds, name) + _BEYOND[name]
            if kind == "double":
                yield f"{kind}.{name}", math.nan
    # A keyword, and so out of the reach of a dot.
    if listed := getattr(bounds, "in"):
        yield f"{kind}.in", max(listed) + 1
    if kind == "double" and bounds.finite:
        yield from (("double.finite", value) for value in (math.nan, math.inf, -math.inf))


def _bad_durations(found: validate_pb2.DurationRules) -> Iterator[tuple[str, Duration]]:
    nanosecond = 1
    for name in ("gte", "lte"):
        if found.HasField(name):
            bound, beyond = getattr(found, name), Duration()
            beyond.FromNanoseconds(bound.ToNanoseconds() + (nanosecond if name == "lte" else -nanosecond))
            yield f"duration.{name}", beyond
