"""What all contracts have in common, so that who knows one method knows them all.

Each exception names its reason, and one that is not needed any more fails.
"""

from collections import Counter
from collections.abc import Collection

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from muster.stream.v1.stream_pb2 import Envelope
from muster_kit.rpc.validation import Validation

from tests.contract import contracts
from tests.contract.contracts import name, rules

READS = ("Get", "List", "Count", "Watch", "Discover", "Export", "Probe")

_PRESENCE = "muster.presence.v1.PresenceService"
LAST_ONE_COUNTS = "sets the same state again; device_sequence keeps an older one from counting"

WITHOUT_REQUEST_ID = {
    f"{_PRESENCE}/Connect": LAST_ONE_COUNTS,
    f"{_PRESENCE}/Heartbeat": LAST_ONE_COUNTS,
    f"{_PRESENCE}/HeartbeatBatch": LAST_ONE_COUNTS,
    f"{_PRESENCE}/ReportActivity": "sets the same state again",
    f"{_PRESENCE}/SetActivity": LAST_ONE_COUNTS,
    f"{_PRESENCE}/Leave": LAST_ONE_COUNTS,
    "muster.scoring.v1.RoundService/AcknowledgeDelivery": "a measurement; the least one counts",
    "muster.scoring.v1.BoardService/StreamSubmitScores": "each submission in it carries its own",
    "muster.workout.v1.WorkoutService/SyncClock": "a measurement; the newest one counts",
}

STREAMS_WITHOUT_ENVELOPE = {
    "muster.session.v1.SessionService/ExportSession": "a file in chunks, which ends",
    "muster.presence.v1.AttendanceService/ExportAttendance": "a file in chunks, which ends",
}

LISTS_WITHOUT_PAGES = {
    "muster.scoring.v1.BoardService/ListEntriesAround": "at most 2 × 50 + 1 entries, by its radius",
}

_STAMP = Envelope.DESCRIPTOR.fields_by_name["delivery_stamp"].number

METHODS = {name(method): method for method in contracts.methods()}
MUTATIONS = {key: method for key, method in METHODS.items() if not method.name.startswith(READS)}
WATCHES = {
    key: method
    for key, method in METHODS.items()
    if method.server_streaming and not method.client_streaming and key not in STREAMS_WITHOUT_ENVELOPE
}
LISTS = {key: method for key, method in METHODS.items() if method.name.startswith(("List", "Discover"))}
FIELDS = {field.full_name: field for field in contracts.request_fields()}


def broken(candidates: Collection[str], exceptions: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the candidates that are no exceptions, and the exceptions that are no candidates."""
    return sorted(set(candidates) - set(exceptions)), sorted(set(exceptions) - set(candidates))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_has_messages_of_its_own(method: MethodDescriptor) -> None:
    package = method.containing_service.file.package
    assert method.input_type.full_name == f"{package}.{method.name}Request"
    assert method.output_type.full_name == f"{package}.{method.name}Response"


def test_no_two_methods_share_a_message() -> None:
    used = Counter(message.full_name for m in METHODS.values() for message in (m.input_type, m.output_type))
    assert [message for message, times in used.items() if times > 1] == []


def test_every_service_can_be_probed() -> None:
    packages = {service.file.package for service in contracts.services()}
    probed = {m.containing_service.file.package for m in METHODS.values() if m.name == "Probe"}
    assert packages == probed


def test_every_mutation_carries_a_request_id() -> None:
    without = [
        key
        for key, method in MUTATIONS.items()
        if not _is_text(method.input_type.fields_by_name.get("request_id"), max_length=64)
    ]
    assert broken(without, WITHOUT_REQUEST_ID) == ([], [])


def test_every_expected_revision_may_be_left_out() -> None:
    """0 stands for any revision, so nothing below it may pass for one."""
    found = [field for key, field in FIELDS.items() if key.endswith(".expected_revision")]
    assert found
    for field in found:
        assert field.type == FieldDescriptor.TYPE_INT64
        assert rules(field).int64.gte == 0
        assert rules(field).int64.HasField("gte")


def test_every_other_stream_is_a_watch() -> None:
    streams = {key for key, m in METHODS.items() if m.server_streaming and not m.client_streaming}
    assert broken(streams - WATCHES.keys(), STREAMS_WITHOUT_ENVELOPE) == ([], [])


@pytest.mark.parametrize("method", WATCHES.values(), ids=WATCHES)
def test_a_watch_frame_has_the_shape_of_the_envelope(method: MethodDescriptor) -> None:
    frame, envelope = method.output_type, Envelope.DESCRIPTOR
    assert set(frame.fields_by_number) <= set(envelope.fields_by_number)
    assert {1, 2, 3, 10, 11, 12, 13} <= set(frame.fields_by_number)
    assert {4, 6} & set(frame.fields_by_number), "it carries neither events nor a view"
    for number, field in frame.fields_by_number.items():
        shared = envelope.fields_by_number[number]
        # What is lossy goes by the name of what it is, such as reactions.
        assert field.name == shared.name or number == 8
        if shared.message_type:
            assert field.message_type is shared.message_type
        elif number in {1, _STAMP}:
            assert field.type == FieldDescriptor.TYPE_BYTES
        else:
            # A message where the envelope has bytes: the same on the wire.
            assert field.type == FieldDescriptor.TYPE_MESSAGE
            assert not field.is_repeated
    outside = {field.number for field in frame.fields if field.containing_oneof is None}
    assert outside - {_STAMP} == {1, 2, 3}
    assert [oneof.name for oneof in frame.oneofs] == ["frame"]


@pytest.mark.parametrize("method", WATCHES.values(), ids=WATCHES)
def test_a_watch_can_be_resumed_and_bounded(method: MethodDescriptor) -> None:
    fields = method.input_type.fields_by_name
    assert fields["after"].type == FieldDescriptor.TYPE_BYTES
    assert rules(fields["after"]).bytes.max_len == 64
    assert fields["max_frames"].type == FieldDescriptor.TYPE_UINT32
    assert fields["replay_only"].type == FieldDescriptor.TYPE_BOOL


@pytest.mark.parametrize("method", WATCHES.values(), ids=WATCHES)
def test_events_come_in_runs_and_carry_their_place(method: MethodDescriptor) -> None:
    events = method.output_type.fields_by_name.get("events")
    if events is None:
        return
    assert [(field.number, field.name) for field in events.message_type.fields] == [(1, "events")]
    run = events.message_type.fields_by_name["events"]
    assert run.is_repeated
    _check_event(run.message_type)


def _check_event(event: Descriptor) -> None:
    assert event.fields_by_number[1].name == "seq"
    assert event.fields_by_number[1].type == FieldDescriptor.TYPE_UINT64
    assert event.fields_by_number[2].name == "create_time"
    assert [oneof.name for oneof in event.oneofs] == ["event"]
    kinds = {field.number for field in event.oneofs[0].fields}
    assert set(event.fields_by_number) == {1, 2} | kinds
    assert min(kinds) == 10


@pytest.mark.parametrize("method", LISTS.values(), ids=LISTS)
def test_a_list_pages(method: MethodDescriptor) -> None:
    if name(method) in LISTS_WITHOUT_PAGES:
        assert "page_token" not in method.input_type.fields_by_name
        return
    size = method.input_type.fields_by_name["page_size"]
    assert size.type == FieldDescriptor.TYPE_INT32
    assert (rules(size).int32.gte, rules(size).int32.lte) == (0, 200)
    assert _is_text(method.input_type.fields_by_name["page_token"], max_length=512)
    assert _is_text(method.output_type.fields_by_name["next_page_token"], max_length=0)
    assert any(field.is_repeated for field in method.output_type.fields)


def test_every_rule_can_be_evaluated() -> None:
    """A rule of the wrong type, or a pattern with a fault, shows only when it is compiled."""
    validation = Validation()
    for message in {field.containing_type for field in FIELDS.values()}:
        validation.check_of(GetMessageClass(message))


def test_every_text_in_a_request_is_bounded() -> None:
    boundless = [key for key, field in FIELDS.items() if _texts(field) and not _is_bounded(field)]
    assert boundless == []


def test_every_repeated_field_in_a_request_is_bounded() -> None:
    repeated = {key: field for key, field in FIELDS.items() if field.is_repeated}
    boundless = [
        key
        for key, field in repeated.items()
        if not (rules(field).map.max_pairs if contracts.is_map(field) else rules(field).repeated.max_items)
    ]
    assert boundless == []


def test_every_enum_in_a_request_is_of_the_contract() -> None:
    """A number nobody defined is refused at the door, not met somewhere inside."""
    enums = {key: field for key, field in FIELDS.items() if field.type == FieldDescriptor.TYPE_ENUM}
    unchecked = [key for key, field in enums.items() if not _items(field).enum.defined_only]
    assert unchecked == []


def test_every_duration_in_a_request_is_bounded() -> None:
    durations = {key: field for key, field in FIELDS.items() if _is_a(field, "google.protobuf.Duration")}
    assert [key for key, field in durations.items() if not rules(field).duration.HasField("lte")] == []


def test_times_are_named_so() -> None:
    messages = [message for file in contracts.files() for message in file.message_types_by_name.values()]
    misnamed = [
        field.full_name
        for message in messages
        for field in message.fields
        if _is_a(field, "google.protobuf.Timestamp") != field.name.endswith("_time")
    ]
    assert misnamed == []


def _is_text(field: FieldDescriptor | None, *, max_length: int) -> bool:
    return (
        field is not None
        and field.type == FieldDescriptor.TYPE_STRING
        and rules(field).string.max_len == max_length
    )


def _is_a(field: FieldDescriptor, message: str) -> bool:
    return field.message_type is not None and field.message_type.full_name == message


def _texts(field: FieldDescriptor) -> bool:
    kinds = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
    if contracts.is_map(field):
        return any(part.type in kinds for part in field.message_type.fields)
    return field.type in kinds


def _is_bounded(field: FieldDescriptor) -> bool:
    if contracts.is_map(field):
        entry = rules(field).map
        return bool(entry.keys.string.max_len and entry.values.string.max_len)
    items = _items(field)
    return bool(items.bytes.max_len if field.type == FieldDescriptor.TYPE_BYTES else items.string.max_len)


def _items(field: FieldDescriptor):  # type: ignore[no-untyped-def] # generated, and so of no known type
    """Return the rules of a field's values, which for a repeated field are those of its items."""
    return rules(field).repeated.items if field.is_repeated else rules(field)
