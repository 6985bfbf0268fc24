"""The client process of `muster import`: sends a question file to a session."""

import argparse
import json
import sys
from pathlib import Path

import grpc
from muster.session.v1 import block_service_pb2, session_pb2, session_service_pb2
from muster_kit.caller import OrganizationRole
from muster_kit.ids import new_id

from muster_stack.demo.client import Client, Metadata, bearer
from muster_stack.demo.client_process import run, user_token, violations
from muster_stack.demo.host import QuestionFile
from muster_stack.playing import client_address


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="muster import")
    parser.add_argument("file", type=Path)
    parser.add_argument("--session", default="")
    parser.add_argument("--user", required=True)
    parser.add_argument("--organization", required=True)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def _main() -> int:
    options = _arguments()
    questions = QuestionFile.read(options.file)
    metadata = bearer(
        user_token(options.user, organization=options.organization, role=OrganizationRole.EDITOR)
    )
    client = Client.open(client_address())
    try:
        session_id = options.session or await _new_session(client, questions.name, metadata)
        imported = await client.blocks.ImportBlocks(
            block_service_pb2.ImportBlocksRequest(
                request_id=new_id(),
                session_id=session_id,
                format=questions.format,
                content=questions.content,
                validate_only=options.check,
            ),
            metadata=metadata,
        )
    except grpc.aio.AioRpcError as error:
        faults = violations(error)
        if not options.json or not faults:
            raise
        sys.stdout.write(json.dumps({"faults": [fault for _, fault in faults]}) + "\n")
        return 1
    finally:
        await client.close()
    _tell(session_id, imported, as_json=options.json, check=options.check)
    return 0


async def _new_session(client: Client, title: str, metadata: Metadata) -> str:
    created = await client.sessions.CreateSession(
        session_service_pb2.CreateSessionRequest(
            request_id=new_id(),
            settings=session_pb2.SessionSettings(
                title=title, visibility=session_pb2.SESSION_VISIBILITY_UNLISTED, late_join_allowed=True
            ),
        ),
        metadata=metadata,
    )
    session_id: str = created.session.session_id
    return session_id


def _tell(
    session_id: str, imported: block_service_pb2.ImportBlocksResponse, *, as_json: bool, check: bool
) -> None:
    if as_json:
        told = {"session_id": session_id, "block_count": imported.block_count, "added": not check}
        sys.stdout.write(json.dumps(told) + "\n")
    elif check:
        sys.stdout.write(f"{imported.block_count} questions without a fault; nothing was added.\n")
    else:
        sys.stdout.write(f"{imported.block_count} questions added to session {session_id}.\n")


if __name__ == "__main__":
    sys.exit(run(_main))
