"""Hold requests against the rules written into their contract."""

import json
from collections.abc import Callable, Iterator, Mapping

import protovalidate
from google.protobuf.message import Message
from protovalidate import FieldPathElementPb, FieldPathPb

from muster_kit.errors import MusterError, Reason, Violation
from muster_kit.rpc.plain_rules import compile_check


class Validation:
    """Checks messages by their protovalidate rules, which it keeps compiled: have one a process."""

    def __init__(self) -> None:
        self._collect = protovalidate.Validator().collect_violations

    def check_of(self, message_class: type[Message]) -> Callable[[Message], None]:
        """Return `check` for messages of one class, several times faster for many of them that are right.

        It compiles the rules, which takes milliseconds, and raises when one of them is faulty.
        """
        self._collect(message_class())
        keeps_rules = compile_check(message_class.DESCRIPTOR)
        if keeps_rules is None:
            return self.check

        def check(message: Message) -> None:
            if not keeps_rules(message):
                self.check(message)

        return check

    def check(self, message: Message) -> None:
        """Raise MusterError(INVALID_FIELD) that names every field which breaks a rule."""
        broken = self._collect(message)
        if broken:
            violations = [
                Violation(_path(found.proto.field), found.proto.message or found.proto.rule_id)
                for found in broken
            ]
            raise MusterError(Reason.INVALID_FIELD, violations=violations)


def refuse_nul(message: Message) -> None:
    """Raise MusterError(INVALID_FIELD) that names every text with a NUL in it.

    protobuf takes them, PostgreSQL does not: without this wall, each place that stores or looks up a
    text would have to remember.
    """
    violations = [Violation(field, "must not hold the character NUL") for field in _texts_with_nul(message)]
    if violations:
        raise MusterError(Reason.INVALID_FIELD, violations=violations)


def _texts_with_nul(message: Message, prefix: str = "") -> Iterator[str]:
    for field, value in message.ListFields():
        path = prefix + field.name
        if field.is_repeated:
            pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, item in pairs:
                yield from _nul_in(f"{path}[{json.dumps(key)}]", key, item)
        else:
            yield from _nul_in(path, "", value)


def _nul_in(path: str, key: object, value: object) -> Iterator[str]:
    if isinstance(value, Message):
        yield from _texts_with_nul(value, f"{path}.")
    if any(isinstance(text, str) and "\0" in text for text in (key, value)):
        yield path


def _path(path: FieldPathPb | None) -> str:
    """Return a path such as `blocks[2].labels["en"].text`; empty for a rule about the whole message."""
    if path is None:
        return ""
    return ".".join(element.field_name + _subscript(element) for element in path.elements)


def _subscript(element: FieldPathElementPb) -> str:
    # Keys are shown as in JSON: a number bare, a text in quotes.
    return "" if element.subscript is None else f"[{json.dumps(element.subscript.value)}]"
