"""The catalog of errors is total and says nothing it should not; the funnel maps there and back."""

from datetime import timedelta

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from muster.error.v1.error_reason_pb2 import ErrorReason
from muster_kit.errors import CATALOG, Code, MusterError, Reason, Violation
from muster_kit.rpc.status import CALL_ID_KEY, DETAILS_KEY, WireStatus, explain, received, wire_status

PREFIX = "ERROR_REASON_"


def as_received(status: WireStatus) -> grpc.aio.AioRpcError:
    """The error a client raises for a status."""
    trailers = grpc.aio.Metadata(*status.trailers)
    return grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), trailers, status.message)


def test_reasons_are_those_of_the_contract() -> None:
    contract = {name.removeprefix(PREFIX) for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    assert {reason.value for reason in Reason} == contract


def test_every_reason_has_its_entry() -> None:
    assert set(CATALOG) == set(Reason)


def test_every_code_is_one_of_grpc() -> None:
    assert {code.value for code in Code} == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize("reason", Reason)
def test_the_public_sentence_is_one_sentence(reason: Reason) -> None:
    message = CATALOG[reason].message
    assert message.endswith(".")
    assert message.count(".") == 1
    assert message[0].isupper()
    assert len(message) <= 100


def test_an_error_prints_its_detail_for_the_log() -> None:
    assert str(MusterError(Reason.NOT_FOUND)) == "NOT_FOUND"
    assert str(MusterError(Reason.NOT_FOUND, detail="room 7")) == "NOT_FOUND: room 7"


@pytest.mark.parametrize("reason", Reason)
def test_the_status_carries_code_sentence_reason_and_domain(reason: Reason) -> None:
    status = wire_status(MusterError(reason, detail="secret"))
    [(key, packed)] = status.trailers
    assert key == DETAILS_KEY
    rich = status_pb2.Status.FromString(packed)
    assert rich.code == code_pb2.Code.Value(CATALOG[reason].code) == status.code.value[0]
    assert rich.message == status.message == CATALOG[reason].message
    info = error_details_pb2.ErrorInfo()
    [detail] = rich.details
    assert detail.Unpack(info)
    assert (info.reason, info.domain) == (reason.value, "muster")


def test_a_call_id_goes_beside_the_details() -> None:
    status = wire_status(MusterError(Reason.INTERNAL), call_id="abc")
    assert dict(status.trailers)[CALL_ID_KEY] == "abc"


@given(
    st.sampled_from(Reason),
    st.lists(st.builds(Violation, st.text(max_size=20), st.text(max_size=20)), max_size=5),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=1)),
)
def test_what_is_sent_is_received(
    reason: Reason, violations: list[Violation], retry_after: timedelta | None
) -> None:
    error = MusterError(reason, violations=violations, retry_after=retry_after)
    back = received(as_received(wire_status(error)))
    assert back is not None
    assert (back.reason, back.violations, back.retry_after) == (reason, tuple(violations), retry_after)


@given(st.lists(st.builds(Violation, st.text(), st.text(max_size=400)), max_size=300))
def test_trailers_stay_small_whatever_is_wrong(violations: list[Violation]) -> None:
    status = wire_status(MusterError(Reason.INVALID_FIELD, violations=violations))
    assert sum(len(key) + len(value) for key, value in status.trailers) < 5000


def test_what_others_say_is_not_taken_for_ours() -> None:
    details = status_pb2.Status()
    details.details.add().Pack(error_details_pb2.ErrorInfo(reason="NOT_FOUND", domain="another.example"))
    for trailers in ((), ((DETAILS_KEY, details.SerializeToString()),)):
        assert received(as_received(WireStatus(grpc.StatusCode.NOT_FOUND, "", trailers))) is None


def test_a_reason_of_a_later_release_is_no_reason() -> None:
    details = status_pb2.Status()
    details.details.add().Pack(error_details_pb2.ErrorInfo(reason="FROM_THE_FUTURE", domain="muster"))
    trailers = ((DETAILS_KEY, details.SerializeToString()),)
    assert received(as_received(WireStatus(grpc.StatusCode.ABORTED, "", trailers))) is None


@pytest.mark.parametrize(
    "error", [KeyError("x"), OSError("disk"), TimeoutError(), ExceptionGroup("", [ValueError()])]
)
def test_what_nobody_foresaw_is_internal(error: Exception) -> None:
    assert explain(error).reason is Reason.INTERNAL
