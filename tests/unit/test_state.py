"""The state directory: private, held by one at a time, and honest about who holds it."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from muster_stack.problem import Problem
from muster_stack.state import Running, State, default_path


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    made.prepare()
    return made


def test_it_is_made_private(state):
    for path in (state.root, state.postgres, state.valkey, state.logs):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_preparing_twice_changes_nothing(state):
    state.root.chmod(0o711)
    state.prepare()
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o711


def test_only_one_holds_it(state):
    with state.locked():
        with pytest.raises(Problem, match="already running"), State(state.root).locked():
            pass
        state.announce(Running.here("127.0.0.1:7700"))
        with (
            pytest.raises(Problem, match=rf"process {os.getpid()}, serving on 127\.0\.0\.1:7700"),
            state.locked(),
        ):
            pass
    with state.locked():
        pass


def test_it_tells_what_runs_and_forgets_it_in_the_end(state):
    assert state.running() is None
    with state.locked():
        assert state.running() is None
        state.announce(Running.here("127.0.0.1:7700"))
        assert state.running() == Running(os.getpid(), "127.0.0.1:7700")
    assert state.running() is None


def test_what_was_killed_is_not_taken_for_running(state):
    announce = (
        "import os, sys; from pathlib import Path; from muster_stack.state import Running, State;"
        "state = State(Path(sys.argv[1]));"
        "lock = state.locked(); lock.__enter__(); state.announce(Running.here('127.0.0.1:7700')); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", announce, str(state.root)], check=False)
    assert (state.root / "lock").read_text()
    assert state.running() is None


@pytest.mark.parametrize("said", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "address": "y", "started": 0}'])
def test_a_lock_file_that_makes_no_sense_means_nothing_runs(state, said):
    (state.root / "lock").write_text(said)
    assert state.running() is None


def test_sockets_lie_in_it_where_their_paths_are_short_enough(tmp_path_factory):
    state = State(Path("/tmp") / f"muster-unit-{os.getpid()}")
    state.prepare()
    try:
        assert state.sockets() == state.root / "run"
        state.remove_sockets()
        assert not (state.root / "run").exists()
    finally:
        subprocess.run(["rm", "-r", str(state.root)], check=True)


def test_a_short_directory_elsewhere_is_used_again_and_removed(tmp_path):
    state = State(tmp_path / ("x" * 100))
    state.prepare()
    sockets = state.sockets()
    assert len(os.fsencode(sockets / ".s.PGSQL.5432")) <= 107
    assert state.sockets() == sockets
    state.remove_sockets()
    assert not sockets.exists()
    assert not (state.root / "run").is_symlink()


def test_a_short_directory_that_others_may_enter_is_not_used_again(tmp_path):
    state = State(tmp_path / ("x" * 100))
    state.prepare()
    sockets = state.sockets()
    sockets.chmod(0o777)
    replacement = state.sockets()
    assert replacement != sockets
    sockets.rmdir()
    state.remove_sockets()


def test_a_file_in_its_place_is_told(tmp_path):
    (tmp_path / "state").touch()
    with pytest.raises(Problem, match="a directory is needed there"):
        State(tmp_path / "state").prepare()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "is full; free some space"),
        (errno.EDQUOT, "is full; free some space"),
        (errno.EACCES, "may not be used by this user"),
        (errno.EROFS, "read-only file system"),
        (errno.EIO, "cannot be used: input/output error"),
    ],
)
def test_what_a_file_system_refuses_becomes_one_sentence(code, said):
    problem = Problem.from_os_error(OSError(code, os.strerror(code), "/data/x"), Path("/data"))
    assert said in str(problem)
    assert str(problem).endswith(".")
    assert "\n" not in str(problem)


def test_the_default_place_follows_the_user(monkeypatch):
    if os.geteuid() == 0:
        assert default_path() == Path("/var/lib/muster")
    else:
        monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
        assert default_path() == Path("/somewhere/muster")
