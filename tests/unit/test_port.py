"""A reserved port is ours alone, also while no worker listens on it."""

import contextlib
import errno
import socket

import pytest
from muster_stack.port import _refusal, reserve, split_address
from muster_stack.problem import Problem


def listen(address, *, shared):
    """A server as gRPC makes them: it may follow another on its port, and share the port if asked."""
    with contextlib.ExitStack() as on_failure:
        server = on_failure.enter_context(socket.socket())
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        server.bind(address)
        server.listen()
        on_failure.pop_all()
    return server


def test_workers_may_listen_on_it_together():
    with reserve("127.0.0.1", 0) as port:
        servers = [listen((port.host, port.number), shared=True) for _ in range(2)]
        with socket.create_connection((port.host, port.number)):
            pass
        for server in servers:
            server.close()


def test_others_cannot_slip_in_while_no_worker_listens():
    with reserve("127.0.0.1", 0) as port, pytest.raises(OSError, match="in use"):
        listen((port.host, port.number), shared=False)


def test_connections_are_refused_while_no_worker_listens():
    with reserve("127.0.0.1", 0) as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection((port.host, port.number))


def test_a_port_left_a_moment_ago_is_free():
    with reserve("127.0.0.1", 0) as port:
        server = listen((port.host, port.number), shared=True)
        client = socket.create_connection((port.host, port.number))
        accepted, _ = server.accept()
        # Whoever closes first keeps the port in TIME_WAIT.
        accepted.close()
        client.close()
        server.close()
    reserve("127.0.0.1", port.number).close()


def test_ipv6_addresses_have_brackets():
    with reserve("::1", 0) as port:
        assert port.address == f"[::1]:{port.number}"
        assert split_address(port.address) == ("::1", port.number)


@pytest.mark.parametrize("address", ["", "7700", "localhost:", "localhost:x", "localhost:70000"])
def test_what_is_no_address_is_told(address):
    with pytest.raises(Problem, match="is not an address"):
        split_address(address)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_here_is_told(host):
    with pytest.raises(Problem, match="is not an address of this machine"):
        reserve(host, 7700)


@pytest.mark.parametrize(
    ("code", "said"), [(errno.EACCES, "reserved for root"), (errno.ENOBUFS, "cannot be used")]
)
def test_other_refusals_are_one_sentence(code, said):
    assert said in _refusal(OSError(code, "no"), "127.0.0.1", 80)
