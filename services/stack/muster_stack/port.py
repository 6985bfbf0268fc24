"""A port that workers share, and that nobody else can slip into while one of them restarts."""

import errno
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from muster_stack.problem import Problem


@dataclass(frozen=True, slots=True)
class Port:
    """A reserved address: bound, never listened on, so that all connections go to the workers."""

    host: str
    number: int
    _socket: socket.socket

    @property
    def address(self) -> str:
        """`host:port`, with brackets around an IPv6 host."""
        return f"[{self.host}]:{self.number}" if ":" in self.host else f"{self.host}:{self.number}"

    def close(self) -> None:
        """Give the reservation up."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def reserve(host: str, number: int) -> Port:
    """Reserve a port, any free one for 0; a Problem when it is in use or not ours to use."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise Problem(f"{host} is not an address of this machine; choose another with --host.") from None
    try:
        if number:
            _listen_alone(family, address)
        shared = socket.socket(family, socket.SOCK_STREAM)
        try:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            shared.bind(address)
        except OSError:
            shared.close()
            raise
    except OSError as error:
        raise Problem(_refusal(error, host, number)) from None
    return Port(host, int(shared.getsockname()[1]), shared)


def split_address(address: str) -> tuple[str, int]:
    """The host and the port in `host:port`; a Problem when it has another form."""
    host, colon, number = address.rpartition(":")
    if not colon or not number.isdigit() or int(number) > 65535:
        raise Problem(f"{address!r} is not an address: give host:port, such as 127.0.0.1:7700.")
    return host.strip("[]"), int(number)


def _listen_alone(family: int, address: tuple[Any, ...]) -> None:
    """Fail when anyone listens: a shared bind would succeed beside a server of the same user."""
    with socket.socket(family, socket.SOCK_STREAM) as alone:
        # Without it, connections that a stopped server left in TIME_WAIT would count as in use.
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(address)
        alone.listen(1)


def _refusal(error: OSError, host: str, number: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {number} on {host} is in use; stop what serves there, or choose another with --port."
            )
        case errno.EACCES | errno.EPERM:
            return f"Port {number} is reserved for root; choose one above 1023 with --port."
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine; choose another with --host."
        case _:
            return f"Port {number} on {host} cannot be used: {error.strerror}."
