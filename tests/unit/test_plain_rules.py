"""Plain rules: what their check lets pass, the library lets pass too, and the other way round."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from muster.scoring.v1 import answer_pb2, board_service_pb2, round_service_pb2
from muster.session.v1 import session_service_pb2
from muster_kit.errors import MusterError
from muster_kit.rpc.plain_rules import compile_check
from muster_kit.rpc.validation import Validation

_FILES = (round_service_pb2, board_service_pb2, session_service_pb2)
_VALIDATION = Validation()


def _requests() -> Iterator[type[Message]]:
    for file in _FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if compile_check(method.input_type) is not None:
                    yield GetMessageClass(method.input_type)


def _is_right(message: Message) -> bool:
    try:
        _VALIDATION.check(message)
    except MusterError:
        return False
    return True


def _fill(message: Any, random_: random.Random, depth: int = 0) -> None:
    """Set fields to anything: short and long, none and many, inside and outside of what is allowed."""
    for field in message.DESCRIPTOR.fields:
        if random_.random() < 0.3 or depth > 4:
            continue
        if field.is_repeated:
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                continue
            for _ in range(random_.choice((1, 2, 3, 25, 130))):
                if field.message_type is not None:
                    _fill(getattr(message, field.name).add(), random_, depth + 1)
                else:
                    getattr(message, field.name).append(_value(field, random_))
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            _fill(getattr(message, field.name), random_, depth + 1)
        else:
            setattr(message, field.name, _value(field, random_))


def _value(field: Any, random_: random.Random) -> Any:
    size = random_.choice((0, 1, 2, 16, 64, 65, 128, 129, 2000))
    match field.cpp_type:
        case field.CPPTYPE_STRING if field.type == field.TYPE_BYTES:
            return bytes(size)
        case field.CPPTYPE_STRING:
            return random_.choice("aé😀") * size
        case field.CPPTYPE_BOOL:
            return random_.random() < 0.5
        case field.CPPTYPE_DOUBLE | field.CPPTYPE_FLOAT:
            return random_.choice((0.0, 1.5, -2.0, float("inf"), float("nan")))
        case field.CPPTYPE_ENUM:
            return random_.choice([value.number for value in field.enum_type.values])
        case field.CPPTYPE_UINT32 | field.CPPTYPE_UINT64:
            return random_.choice((0, 1, 100, 101, 10_000))
        case _:
            return random_.choice((-1, 0, 1, 100, 101, 10_000))


@pytest.mark.parametrize("message_class", list(_requests()), ids=lambda each: each.DESCRIPTOR.name)
def test_the_check_agrees_with_the_library(message_class: type[Message]) -> None:
    check = compile_check(message_class.DESCRIPTOR)
    assert check is not None
    random_ = random.Random(message_class.DESCRIPTOR.full_name)
    for _ in range(300):
        message = message_class()
        _fill(message, random_)
        assert check(message) == _is_right(message), message


def test_the_requests_of_answers_are_checked_without_the_library() -> None:
    assert compile_check(round_service_pb2.SubmitResponseRequest.DESCRIPTOR) is not None
    assert compile_check(round_service_pb2.SaveDraftRequest.DESCRIPTOR) is not None


@pytest.mark.parametrize(
    "choice_ids", [[], ["a", "a"], [""], ["a" * 65], ["a"] * 2 + ["b"], [str(place) for place in range(200)]]
)
def test_a_broken_rule_is_told_as_the_library_tells_it(choice_ids: list[str]) -> None:
    answer = answer_pb2.Answer(choices=answer_pb2.ChoiceAnswer(choice_ids=choice_ids))
    request = round_service_pb2.SubmitResponseRequest(round_id="r", answer=answer)
    with pytest.raises(MusterError) as told:
        _VALIDATION.check(request)
    with pytest.raises(MusterError) as told_fast:
        _VALIDATION.check_of(type(request))(request)
    assert told_fast.value.violations == told.value.violations != ()
