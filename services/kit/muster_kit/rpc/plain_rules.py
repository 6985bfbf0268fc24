"""The plain kinds of rules as a few comparisons: whether a message keeps to them, not how it breaks them."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

Check: TypeAlias = Callable[[Any], bool]
"""Whether a message, or a value, keeps to its rules."""

# The stubs take them for descriptors of fields, not of extensions.
_MESSAGE_RULES: Final[Any] = validate_pb2.message
_ONEOF_RULES: Final[Any] = validate_pb2.oneof
_FIELD_RULES: Final[Any] = validate_pb2.field

_TEXT: Final = frozenset({"min_len", "max_len"})
_NUMBER: Final = frozenset({"gte", "lte"})
_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "string": _TEXT,
    "bytes": _TEXT,
    "int32": _NUMBER,
    "int64": _NUMBER,
    "uint32": _NUMBER,
    "uint64": _NUMBER,
    "double": frozenset({"finite"}),
}


class _OtherRuleError(Exception):
    """There is a rule of a kind that is not known here."""


def compile_check(descriptor: Any) -> Check | None:
    """Return a check of the rules of a descriptor's messages; None when some of them are not plain.

    A message that the check lets pass breaks no rule.
    """
    try:
        return _message_check(descriptor, ()) or _keeps_none
    except _OtherRuleError:
        return None


def _message_check(descriptor: Descriptor, outer: tuple[str, ...]) -> Check | None:
    """Return the check of a message in others of the names `outer`; None when nothing is to be checked."""
    if descriptor.full_name in outer or descriptor.GetOptions().HasExtension(_MESSAGE_RULES):
        raise _OtherRuleError
    inside = (*outer, descriptor.full_name)
    oneofs = [oneof for oneof in descriptor.oneofs if not _is_optional(oneof)]
    checks = [_oneof_check(oneof, inside) for oneof in oneofs]
    checks += [
        _field_check(field, inside)
        for field in descriptor.fields
        if field.containing_oneof is None or _is_optional(field.containing_oneof)
    ]
    return _all(checks)


def _oneof_check(oneof: OneofDescriptor, outer: tuple[str, ...]) -> Check | None:
    options = oneof.GetOptions()
    required = options.HasExtension(_ONEOF_RULES) and options.Extensions[_ONEOF_RULES].required
    name = oneof.name
    checks = {field.name: _value_check(field, _rules(field), outer) for field in oneof.fields}

    def check(message: Message) -> bool:
        kind = message.WhichOneof(name)
        if kind is None:
            return not required
        of_kind = checks[kind]
        return of_kind is None or of_kind(getattr(message, kind))

    return check if required or any(checks.values()) else None


def _field_check(field: FieldDescriptor, outer: tuple[str, ...]) -> Check | None:
    rules = _rules(field)
    required = bool(rules and rules.required)
    if required and (field.is_repeated or field.message_type is None):
        raise _OtherRuleError
    name = field.name
    value_check = (
        _repeated_check(field, rules, outer) if field.is_repeated else _value_check(field, rules, outer)
    )
    if not field.has_presence:
        return None if value_check is None else lambda message: value_check(getattr(message, name))
    if value_check is None:
        return (lambda message: message.HasField(name)) if required else None

    def check(message: Message) -> bool:
        return value_check(getattr(message, name)) if message.HasField(name) else not required

    return check


def _repeated_check(field: FieldDescriptor, rules: Any, outer: tuple[str, ...]) -> Check | None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        raise _OtherRuleError
    items = rules.repeated if rules and _kind(rules) == "repeated" else None
    if rules and items is None and _kind(rules):
        raise _OtherRuleError
    item_check = _value_check(field, items.items if items and items.HasField("items") else None, outer)
    checks: list[Check | None] = []
    if items:
        _require_known(items, {"min_items", "max_items", "unique", "items"})
        if items.unique and field.message_type is not None:
            raise _OtherRuleError
        least, most = items.min_items, items.max_items if items.HasField("max_items") else math.inf
        checks.append(lambda values: least <= len(values) <= most)
        if items.unique:
            checks.append(lambda values: len(set(values)) == len(values))
    if item_check is not None:
        checks.append(lambda values: all(map(item_check, values)))
    return _all(checks)


def _value_check(field: FieldDescriptor, rules: Any, outer: tuple[str, ...]) -> Check | None:
    """Return the check of a value that is there, one of several or the only one."""
    kind = _kind(rules) if rules else ""
    if field.message_type is not None:
        if kind:
            raise _OtherRuleError
        return _message_check(field.message_type, outer)
    if not kind:
        return None
    wanted = getattr(rules, kind)
    _require_known(wanted, _KINDS.get(kind, frozenset()))
    if kind == "double":
        return math.isfinite if wanted.finite else None
    if kind in {"string", "bytes"}:
        shortest, longest = wanted.min_len, wanted.max_len if wanted.HasField("max_len") else math.inf
        return lambda value: shortest <= len(value) <= longest
    least = wanted.gte if wanted.HasField("gte") else -math.inf
    most = wanted.lte if wanted.HasField("lte") else math.inf
    if least > most:
        # Such a range means what is outside of it.
        raise _OtherRuleError
    return lambda value: least <= value <= most


def _all(checks: list[Check | None]) -> Check | None:
    present = [check for check in checks if check is not None]
    if len(present) <= 1:
        return present[0] if present else None

    def check_all(value: Any) -> bool:
        for check in present:  # noqa: SIM110 - twice as fast as all() with a generator
            if not check(value):
                return False
        return True

    return check_all


def _keeps_none(_: Any) -> bool:
    """There are no rules."""
    return True


def _rules(field: FieldDescriptor) -> Any:
    options = field.GetOptions()
    if not options.HasExtension(_FIELD_RULES):
        return None
    rules = options.Extensions[_FIELD_RULES]
    _require_known(rules, {"required", *_KINDS, "repeated"})
    return rules


def _kind(rules: Any) -> str:
    return rules.WhichOneof("type") or ""


def _require_known(rules: Any, known: Any) -> None:
    if any(field.name not in known for field, _ in rules.ListFields()):
        raise _OtherRuleError


def _is_optional(oneof: OneofDescriptor) -> bool:
    """Whether it is the one that the compiler makes of an `optional` field."""
    return len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}"
