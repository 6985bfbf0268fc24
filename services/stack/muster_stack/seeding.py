"""The client process of `muster seed`: makes a running session for load tests."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from muster.scoring.v1 import answer_pb2, board_pb2, board_service_pb2
from muster.session.v1 import block_pb2, block_service_pb2, session_pb2, session_service_pb2
from muster_kit.caller import OrganizationRole
from rich.console import Console
from rich.progress import Progress

from muster_stack import ghz_data
from muster_stack.demo.client import Client, Metadata, bearer
from muster_stack.demo.client_process import run, service_token, user_token
from muster_stack.playing import client_address

_JOINING_AT_ONCE = 64


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="muster seed")
    parser.add_argument("--session", required=True)
    parser.add_argument("--participants", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--organization", required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--ghz", type=Path)
    return parser.parse_args()


async def _main() -> int:
    options = _arguments()
    client = Client.open(client_address())
    try:
        host = bearer(
            user_token("seed-host", organization=options.organization, role=OrganizationRole.EDITOR)
        )
        code = await _open(client, options, host)
        tickets = await _join(client, options, code)
        rounds = await _activate(client, options, host)
        hosting = await client.sessions.JoinSession(
            session_service_pb2.JoinSessionRequest(session_id=options.session), metadata=host
        )
        if options.ghz is not None:
            ghz_data.write(options.ghz, await _target(client, options, code, rounds, tickets))
    finally:
        await client.close()
    _write(
        {
            "address": client_address(),
            "session_id": options.session,
            "join_code": code,
            "host_ticket": hosting.ticket.token,
            "round_ids": rounds,
            "participants": tickets,
        },
        options.out,
    )
    return 0


async def _open(client: Client, options: argparse.Namespace, host: Metadata) -> str:
    """Make the session with its blocks and open its lobby; ALREADY_EXISTS when there is one of that id."""
    settings = session_pb2.SessionSettings(
        title="Load",
        visibility=session_pb2.SESSION_VISIBILITY_UNLISTED,
        late_join_allowed=True,
        parallel_blocks_allowed=True,
        # With ghz, as many again join later.
        max_participants=options.participants * (1 if options.ghz is None else 2),
    )
    await client.sessions.CreateSession(
        session_service_pb2.CreateSessionRequest(session_id=options.session, settings=settings), metadata=host
    )
    await client.blocks.AddBlocks(
        block_service_pb2.AddBlocksRequest(
            session_id=options.session, blocks=[_block(options.session, n) for n in range(options.rounds)]
        ),
        metadata=host,
    )
    opened = await client.sessions.OpenLobby(
        session_service_pb2.OpenLobbyRequest(session_id=options.session), metadata=host
    )
    await client.sessions.StartSession(
        session_service_pb2.StartSessionRequest(session_id=options.session), metadata=host
    )
    code: str = opened.session.join_code
    return code


def _block(session_id: str, number: int) -> block_pb2.NewBlock:
    choices = [block_pb2.Item(item_id=each, text=each.upper()) for each in "abcd"]
    credits_ = [answer_pb2.ChoiceCredit(choice_id=each, credit=float(each == "a")) for each in "abcd"]
    return block_pb2.NewBlock(
        block_id=f"{session_id}-{number + 1}",
        content=block_pb2.BlockContent(
            prompt="Which one?", multiple_choice=block_pb2.MultipleChoice(choices=choices)
        ),
        answer_key=answer_pb2.AnswerKey(choices=answer_pb2.ChoiceKey(choices=credits_)),
    )


async def _join(client: Client, options: argparse.Namespace, code: str) -> list[dict[str, str]]:
    places = asyncio.Semaphore(_JOINING_AT_ONCE)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("joining", total=options.participants)

        async def join(number: int) -> dict[str, str]:
            user = f"{options.session}-{number + 1}"
            token = _member_token(options, user)
            async with places:
                joined = await client.sessions.JoinSession(
                    session_service_pb2.JoinSessionRequest(join_code=code), metadata=bearer(token)
                )
            progress.advance(bar)
            participant = joined.participant.participant_id
            return {"user_id": user, "participant_id": participant, "ticket": joined.ticket.token}

        async with asyncio.TaskGroup() as tasks:
            joining = [tasks.create_task(join(number)) for number in range(options.participants)]
    return [task.result() for task in joining]


async def _activate(client: Client, options: argparse.Namespace, host: Metadata) -> list[str]:
    round_ids = []
    for number in range(options.rounds):
        activated = await client.blocks.ActivateBlock(
            block_service_pb2.ActivateBlockRequest(
                session_id=options.session, block_id=f"{options.session}-{number + 1}"
            ),
            metadata=host,
        )
        round_ids.append(activated.block.round_id)
    return round_ids


def _member_token(options: argparse.Namespace, user: str) -> str:
    return user_token(user, organization=options.organization, role=OrganizationRole.MEMBER)


async def _target(
    client: Client, options: argparse.Namespace, code: str, rounds: list[str], tickets: list[dict[str, str]]
) -> ghz_data.Target:
    """Return what ghz needs, with a board that services feed."""
    token = service_token("seed", organization=options.organization)
    board_id = f"{options.session}-board"
    await client.boards.CreateBoard(
        board_service_pb2.CreateBoardRequest(
            organization_id=options.organization,
            board_id=board_id,
            title="Load",
            operator=board_pb2.BOARD_OPERATOR_INCREMENT,
        ),
        metadata=bearer(token),
    )
    return ghz_data.Target(
        session_id=options.session,
        join_code=code,
        board_id=board_id,
        round_ids=rounds,
        tickets=[each["ticket"] for each in tickets],
        joiners=[
            _member_token(options, f"{options.session}-joiner-{number + 1}")
            for number in range(options.participants)
        ],
        service_token=token,
    )


def _write(told: dict[str, Any], out: Path | None) -> None:
    text = json.dumps(told) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(_main))
