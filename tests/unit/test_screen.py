"""What `muster up` says, and the environment it hands down."""

import json
import shlex
from pathlib import Path

import pytest
from muster_stack.configuration import of_worker, read_settings
from muster_stack.problem import Problem
from muster_stack.screen import Screen, example_commands
from muster_stack.supervisor import Notice
from muster_stack.up import Serving


def serving(*, address="127.0.0.1:7700", state="/data/muster", services=("session", "scoring"), workers=2):
    return Serving(address, Path(state), services, workers, {"MUSTER_DATABASE_URL": "postgresql://secret"})


def test_commands_name_the_session_service_where_it_is_served_and_health_elsewhere():
    assert "SessionService/CreateSession" in example_commands(serving())["buf"]
    assert "grpc.health.v1.Health/Check" in example_commands(serving(services=("presence",)))["grpcurl"]


def test_a_state_directory_with_a_space_survives_the_shell():
    command = example_commands(serving(state="/my data/muster"))["token"]
    assert shlex.split(command)[-2:] == ["--state", "/my data/muster"]


@pytest.mark.parametrize(
    ("listen", "called"), [("0.0.0.0:7700", "127.0.0.1:7700"), ("[::]:7700", "[::1]:7700")]
)
def test_who_listens_everywhere_is_called_on_loopback(listen, called):
    assert f" {called} " in example_commands(serving(address=listen))["grpcurl"]


def test_people_get_lines_that_can_be_copied_and_no_secrets(capsys):
    screen = Screen(as_json=False)
    screen.serving(serving())
    screen.notice(Notice("ended", "worker 1", "worker 1 was ended by SIGKILL; it is started again."))
    screen.stopped()
    said = capsys.readouterr().out
    assert said.startswith("Muster serves on 127.0.0.1:7700 (2 workers)\n")
    assert example_commands(serving())["buf"] in said
    assert "worker 1 was ended by SIGKILL" in said
    assert said.endswith("Muster has stopped.\n")
    assert "secret" not in said


def test_a_single_worker_is_one_and_no_service_is_said(capsys):
    Screen(as_json=False).serving(serving(services=(), workers=1))
    said = capsys.readouterr().out
    assert "(1 worker)" in said
    assert "health and reflection alone" in said


def test_scripts_get_one_object_a_line(capsys):
    screen = Screen(as_json=True)
    screen.serving(serving())
    screen.notice(Notice("failed", "Valkey", "No luck."))
    screen.stopped()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in said] == ["serving", "failed", "stopped"]
    assert said[0]["address"] == "127.0.0.1:7700"


def test_each_worker_has_a_metrics_port_of_its_own_and_no_owner_password():
    environment = {"MUSTER_METRICS_LISTEN": "127.0.0.1:9100", "MUSTER_OWNER_DATABASE_URL": "postgresql://x"}
    assert of_worker(environment, 1) == {"MUSTER_METRICS_LISTEN": "127.0.0.1:9100"}
    assert of_worker(environment, 3) == {"MUSTER_METRICS_LISTEN": "127.0.0.1:9102"}
    assert of_worker({}, 1) == {}


def test_a_setting_that_is_wrong_is_named_as_the_variable(monkeypatch):
    monkeypatch.setenv("MUSTER_DATABASE_POOL_SIZE", "0")
    with pytest.raises(Problem, match="MUSTER_DATABASE_POOL_SIZE is wrong"):
        read_settings()
