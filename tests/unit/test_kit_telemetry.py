"""Logs are readable by machines and hold no secrets; metrics are served over HTTP."""

import asyncio
import json
import logging
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from muster_kit.telemetry import configure_logging, metrics_server, new_registry
from prometheus_client import Counter


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_has_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True)
    structlog.get_logger().info("served", calls=3)
    logging.getLogger("library").warning("hm %s", 7)
    structlog.get_logger().debug("too small to tell")
    ours, theirs = lines(capsys)
    assert (ours["message"], ours["calls"], ours["level"]) == ("served", 3, "info")
    assert (theirs["message"], theirs["level"]) == ("hm 7", "warning")
    assert ours["timestamp"].endswith("Z")


@pytest.mark.parametrize("as_json", [True, False])
def test_tracebacks_hold_no_variables(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    configure_logging(json=as_json)
    password = "hunter" + "2"
    try:
        password.index("x")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    logged = capsys.readouterr().err
    assert "ValueError" in logged
    assert "hunter2" not in logged


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_given_by_mistake_are_hidden(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    configure_logging(json=as_json)
    structlog.get_logger().info("joined", token="hunter2", ticket="hunter2", password="hunter2")
    assert "hunter2" not in capsys.readouterr().err


def test_clients_that_leave_are_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True)
    library = logging.getLogger("grpc._cython.cygrpc")
    library.error("ExecuteBatchError raised in core by servicer method [/a.B/C]")
    library.error("Invalid encoding on %s", b"Bearer secret\xff")
    library.error("something else")
    [entry] = lines(capsys)
    assert entry["message"] == "something else"


async def test_metrics_are_served() -> None:
    registry = new_registry()
    Counter("answers", "Answers taken.", registry=registry).inc(3)
    with metrics_server("127.0.0.1:0", registry) as port:
        answer = await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/metrics")
        with answer:
            text = answer.read().decode()
    assert "answers_total 3.0" in text
    assert "process_resident_memory_bytes" in text


def test_a_metrics_port_in_use_is_an_error() -> None:
    registry = new_registry()
    with metrics_server("127.0.0.1:0", registry) as port, pytest.raises(OSError, match="in use"):
        metrics_server(f"127.0.0.1:{port}", registry).__enter__()
