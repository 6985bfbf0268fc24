"""The profiles of deploy/ghz call what there is, with what `muster seed --ghz` writes."""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import muster
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.json_format import Parse
from google.protobuf.message_factory import GetMessageClass
from muster_kit.rpc.validation import Validation
from muster_stack import ghz_data

ROOT = Path(__file__).parents[2]
PROFILES = sorted((ROOT / "deploy" / "ghz").glob("*.json"))
TARGET = ghz_data.Target(
    session_id="load",
    join_code="ABCDEFGH",
    board_id="load-board",
    round_ids=[f"round-{number}" for number in range(20)],
    tickets=[f"ticket-{number}" for number in range(500)],
    joiners=[f"joiner-{number}" for number in range(500)],
    service_token="service",
)


def _method(call: str) -> MethodDescriptor:
    package, service, method = call.rsplit(".", 2)
    for root in muster.__path__:
        for file in Path(root).rglob("*_service_pb2.py"):
            name = ".".join(("muster", *file.relative_to(root).with_suffix("").parts))
            contract = import_module(name).DESCRIPTOR
            if contract.package == package and service in contract.services_by_name:
                found: ServiceDescriptor = contract.services_by_name[service]
                return found.methods_by_name[method]
    raise AssertionError(f"no contract has {call}")


def _profile(path: Path) -> dict[str, Any]:
    profile: dict[str, Any] = json.loads(path.read_text())
    return profile


def test_there_is_a_profile_for_each_kind_of_call() -> None:
    assert {path.stem for path in PROFILES} == set(ghz_data.requests(TARGET))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_sends_valid_requests_of_its_method(path: Path, tmp_path: Path) -> None:
    profile = _profile(path)
    method = _method(profile["call"])
    ghz_data.write(tmp_path, TARGET)
    written = json.loads((tmp_path / Path(profile["data-file"]).name).read_text())
    assert written
    validation = Validation()
    for request in written:
        message = Parse(json.dumps(request), GetMessageClass(method.input_type)())
        validation.check(message)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_takes_its_token_from_what_was_written(path: Path) -> None:
    variables = ghz_data.variables(TARGET)
    authorization = _profile(path)["metadata"]["authorization"]
    named = re.findall(r"`(\w+?)(?:_%d)?`", authorization)
    assert named
    for name in named:
        assert name in variables or f"{name}_0" in variables
    assert "\n" not in "".join(variables.values())


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_calls_the_local_stack_on_many_connections(path: Path) -> None:
    profile = _profile(path)
    assert profile["host"] == "127.0.0.1:7700"
    assert profile["insecure"] is True
    assert 4 <= profile["connections"] <= profile["concurrency"]
    assert {Path(profile[key]).parent for key in ("data-file", "protoset")} == {Path("deploy/ghz/data")}


def test_the_protoset_beside_it_holds_every_call(tmp_path: Path) -> None:
    ghz_data.write(tmp_path, TARGET)
    written = FileDescriptorSet.FromString((tmp_path / "muster.protoset").read_bytes())
    known = {
        f"{file.package}.{service.name}.{method.name}"
        for file in written.file
        for service in file.service
        for method in service.method
    }
    assert {_profile(path)["call"] for path in PROFILES} <= known


def test_tokens_are_for_their_owner_alone(tmp_path: Path) -> None:
    ghz_data.write(tmp_path, TARGET)
    assert (tmp_path / "tokens.env").stat().st_mode & 0o077 == 0


def test_every_seat_answers_every_round_before_one_comes_twice() -> None:
    """ghz counts through tickets and requests side by side, each from its start again at its end."""
    rounds, seats = len(ghz_data.requests(TARGET)["submit-response"]), len(TARGET.tickets)
    assert rounds > 1
    pairs = {(number % seats, number % rounds) for number in range(seats * rounds)}
    assert len(pairs) == seats * rounds
