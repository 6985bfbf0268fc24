"""The main job as a newcomer does it: `muster demo`, as root and as an ordinary user, and its siblings."""

import asyncio
import json
import os
import pty
import shutil
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from muster.scoring.v1 import board_service_pb2, round_service_pb2
from muster.session.v1 import session_service_pb2
from muster_stack.demo.client import Client, bearer

from tests.e2e.running import MUSTER, Running

AIKEN = """How many legs has a spider?
A. Six
B. Eight
ANSWER: B

Is the Earth flat?
A. Yes
B. No
ANSWER: B
"""
# Root of the machine is an ordinary user in a namespace of its own.
AS_ORDINARY_USER = ("unshare", "--user", "--map-user=1000") if os.geteuid() == 0 else ()
FAULTY = "::one:: Fine? {=yes ~no}\n\n::two:: Not closed {=yes\n"


async def _run(*arguments: str | Path, prefix: tuple[str, ...] = ()) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *prefix, MUSTER, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def _check(told: dict[str, Any], *, players: int, questions: int) -> None:
    """The results are those of a quiz in which everybody answered everything."""
    session, rounds = told["analytics"]["session"], told["analytics"]["rounds"]
    assert session["participant_count"] == players
    assert len(rounds) == questions
    assert told["answered"] == session["response_count"] == sum(each["response_count"] for each in rounds)
    assert told["answered"] + told["late"] == players * questions
    scores = [int(entry.get("score", 0)) for entry in told["board"]]
    assert scores == sorted(scores, reverse=True)
    assert [entry["rank"] for entry in told["board"]] == list(range(1, len(scores) + 1))


async def test_a_quiz_is_played_from_nothing(short_path: Path) -> None:
    state = short_path / "demo"
    arguments = ("demo", "--state", state, "--players", "12", "--blocks", "3", "--pace", "1", "--json")
    code, out, err = await _run(*arguments)
    assert code == 0, err
    _check(json.loads(out), players=12, questions=3)
    assert "question 3/3" in err, "progress goes to standard error, so that the JSON can be piped"
    shutil.rmtree(state)


async def test_an_ordinary_user_plays_it_as_well(short_path: Path) -> None:
    state = short_path / "ordinary"
    code, out, err = await _run(
        *("demo", "--state", state, "--players", "5", "--blocks", "2", "--pace", "1", "--json"),
        prefix=AS_ORDINARY_USER,
    )
    assert code == 0, err
    _check(json.loads(out), players=5, questions=2)
    shutil.rmtree(state)


async def test_it_plays_on_the_stack_that_runs_already(running: Running, tmp_path: Path) -> None:
    questions = tmp_path / "spiders.txt"
    questions.write_text(AIKEN)
    code, out, err = await _run(
        *("demo", "--state", running.state, "--questions", questions, "--players", "8", "--pace", "1")
    )
    assert code == 0, err
    assert "8 players joined" in out
    assert "answer: Eight" in out
    assert "Final standings" in out
    assert "\x1b[" not in out, "no colours where no terminal is"


async def test_a_terminal_gets_a_live_picture(running: Running) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(MUSTER, "demo", "--state", running.state, "--players", "4", "--blocks", "1", "--pace", "1"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(theirs)
    seen = await asyncio.to_thread(_read_all, ours)
    assert await process.wait() == 0, seen
    for wanted in ("Lobby", "Leaderboard", "Question 1 of 1", "Final standings", "\x1b["):
        assert wanted in seen


def _read_all(descriptor: int) -> str:
    parts = []
    try:
        while data := os.read(descriptor, 65536):
            parts.append(data)
    except OSError:
        # The other end is closed.
        pass
    os.close(descriptor)
    return b"".join(parts).decode(errors="replace")


async def test_a_faulty_file_is_told_by_line_and_nothing_is_played(running: Running, tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.gift"
    faulty.write_text(FAULTY)
    code, out, err = await _run("demo", "--state", running.state, "--questions", faulty, "--players", "2")
    assert code == 1
    assert "line 3" in err
    assert "Traceback" not in err + out


async def test_a_missing_file_is_one_sentence(running: Running) -> None:
    code, _, err = await _run("demo", "--state", running.state, "--questions", "/nowhere.gift")
    assert code == 1
    assert err.count("\n") == 1
    assert "/nowhere.gift" in err


async def test_import_adds_questions_or_tells_the_faults(running: Running, tmp_path: Path) -> None:
    good, faulty = tmp_path / "good.aiken", tmp_path / "faulty.gift"
    good.write_text(AIKEN)
    faulty.write_text(FAULTY)
    code, out, err = await _run("import", good, "--state", running.state, "--json")
    assert code == 0, err
    assert json.loads(out)["block_count"] == 2
    code, out, _ = await _run("import", good, "--state", running.state, "--check")
    assert code == 0
    assert "nothing was added" in out
    code, out, _ = await _run("import", faulty, "--state", running.state, "--json")
    assert code == 1
    (fault,) = json.loads(out)["faults"]
    assert fault.startswith("line 3: ")


async def test_seed_makes_a_session_ready_for_load(running: Running, tmp_path: Path) -> None:
    out_file = tmp_path / "seed.json"
    arguments = (
        "seed",
        "--state",
        running.state,
        "--session",
        "load-1",
        "--participants",
        "20",
        "--rounds",
        "2",
    )
    code, _, err = await _run(*arguments, "--out", out_file)
    assert code == 0, err
    told = json.loads(out_file.read_text())
    assert told["session_id"] == "load-1"
    assert told["round_ids"] == ["load-1-1", "load-1-2"]
    assert len({each["ticket"] for each in told["participants"]}) == 20
    code, _, err = await _run(*arguments)
    assert code == 1, "a session of that id exists"
    assert err.count("\n") == 1


async def test_seed_writes_what_the_load_profiles_send(running: Running, tmp_path: Path) -> None:
    directory = tmp_path / "ghz"
    code, _, err = await _run(
        *("seed", "--state", running.state, "--session", "load-2", "--participants", "10", "--rounds", "3"),
        *("--out", tmp_path / "seed.json", "--ghz", directory),
    )
    assert code == 0, err
    tokens = dict(line.split("=", 1) for line in (directory / "tokens.env").read_text().splitlines())
    assert tokens["TICKETS"] == tokens["JOINERS"] == "10"
    (request,) = json.loads((directory / "join-session.json").read_text())
    joined = session_service_pb2.JoinSessionRequest(join_code=request["joinCode"])
    answer = ParseDict(
        json.loads((directory / "submit-response.json").read_text())[0],
        round_service_pb2.SubmitResponseRequest(),
    )
    batch = ParseDict(
        json.loads((directory / "batch-submit-scores.json").read_text())[0],
        board_service_pb2.BatchSubmitScoresRequest(),
    )
    client = Client.open(running.address)
    try:
        await client.sessions.JoinSession(joined, metadata=bearer(tokens["JOINER_9"]))
        await client.rounds.SubmitResponse(answer, metadata=bearer(tokens["TICKET_9"]))
        taken = await client.boards.BatchSubmitScores(batch, metadata=bearer(tokens["SERVICE_TOKEN"]))
    finally:
        await client.close()
    assert taken.accepted_count == len(batch.submissions)


@pytest.mark.skipif(
    not (Path(__file__).parents[3] / "shared/data/geography.gift").exists(),
    reason="the file of real questions is not beside this checkout",
)
async def test_real_questions_and_two_hundred_players(running: Running) -> None:
    questions = Path(__file__).parents[3] / "shared/data/geography.gift"
    code, out, err = await _run(
        *("demo", "--state", running.state, "--questions", questions),
        *("--players", "200", "--blocks", "3", "--pace", "3", "--json"),
    )
    assert code == 0, err
    _check(json.loads(out), players=200, questions=3)
