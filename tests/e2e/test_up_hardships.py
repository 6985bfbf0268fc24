"""`muster up` on a machine that gives little: no room on the disk, no user namespaces, no permission."""

import os
import signal
import sys
from pathlib import Path

import pytest

NAMESPACES = str(Path(__file__).with_name("namespaces.py"))

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may map other user ids")


@pytest.fixture
def small_disk(state):
    """What to put before a command so that it finds a disk of so many megabytes under `state`'s parent."""

    def wrapper(megabytes: int) -> tuple[str, ...]:
        return (sys.executable, NAMESPACES, "--tmpfs", str(state.parent), str(megabytes))

    return wrapper


def test_a_disk_too_small_to_start_is_told(up, state, small_disk):
    assert up(wrapper=small_disk(64)).refusal() == (
        f"The disk that holds {state} is full; free some space or choose another directory with --state."
    )


@needs_root
def test_a_disk_that_fills_up_is_told_and_survived(up, state, small_disk, remains):
    running = up(wrapper=small_disk(160)).wait_serving()
    disk = Path("/proc", str(running.process.pid), "root", *state.parts[1:])
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        fill(filler)
    os.kill(remains(state).pid("/postgres -D"), signal.SIGKILL)
    assert "is full; free some space" in running.wait_event("failed", "PostgreSQL")["text"]
    filler.unlink()
    running.wait_event("restarted", "PostgreSQL")
    assert running.send(signal.SIGINT) == 0


@needs_root
def test_root_without_user_namespaces_runs_the_stores_as_nobody(up, state, remains):
    running = up(wrapper=(sys.executable, NAMESPACES, "--no-users")).wait_serving()
    left = remains(state)
    postgres = Path("/proc", str(left.pid("/postgres -D")), "status").read_text()
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in postgres
    assert (state / "credentials.json").stat().st_mode & 0o077 == 0
    assert running.send(signal.SIGINT) == 0
    # With namespaces again, as on another machine: what nobody owned is root's again.
    again = up().wait_serving()
    assert (state / "postgres" / "data").stat().st_uid == 0
    again.send(signal.SIGKILL)


@needs_root
def test_nobody_killed_with_the_supervisor_leaves_no_process(up, state, remains):
    running = up(wrapper=(sys.executable, NAMESPACES, "--no-users")).wait_serving()
    left = remains(state)
    running.send(signal.SIGKILL)
    assert left.all_end_within(10)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))


@pytest.mark.parametrize("place", ["/proc/muster", "/dev/null/muster"])
def test_a_place_that_cannot_hold_a_directory_is_told(up, place):
    assert place in up(on=Path(place)).refusal()


def test_a_directory_that_may_not_be_used_is_told(up, state, ordinary_user):
    state.mkdir(mode=0)
    assert "may not be used by this user" in up(wrapper=ordinary_user).refusal()
    state.chmod(0o700)
