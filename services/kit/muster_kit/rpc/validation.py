"""Hold requests against the rules written into their contract."""

import json

import protovalidate
from google.protobuf.message import Message
from protovalidate import FieldPathElementPb, FieldPathPb

from muster_kit.errors import MusterError, Reason, Violation


class Validation:
    """Checks messages by their protovalidate rules, which it keeps compiled: have one a process."""

    def __init__(self) -> None:
        self._collect = protovalidate.Validator().collect_violations

    def warm(self, message_class: type[Message]) -> None:
        """Compile a message's rules now: it takes milliseconds, and raises when a rule is faulty."""
        self._collect(message_class())

    def check(self, message: Message) -> None:
        """Raise MusterError(INVALID_FIELD) that names every field which breaks a rule."""
        broken = self._collect(message)
        if broken:
            violations = [
                Violation(_path(found.proto.field), found.proto.message or found.proto.rule_id)
                for found in broken
            ]
            raise MusterError(Reason.INVALID_FIELD, violations=violations)


def _path(path: FieldPathPb | None) -> str:
    """Return a path such as `blocks[2].labels["en"].text`; empty for a rule about the whole message."""
    if path is None:
        return ""
    return ".".join(element.field_name + _subscript(element) for element in path.elements)


def _subscript(element: FieldPathElementPb) -> str:
    # Keys are shown as in JSON: a number bare, a text in quotes.
    return "" if element.subscript is None else f"[{json.dumps(element.subscript.value)}]"
