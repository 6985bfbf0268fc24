"""What one worker gave out, the other one takes."""

import uuid

from muster.session.v1 import session_pb2, session_service_pb2
from muster_stack.demo.client import Client, bearer

from tests.e2e.running import Running

STATUSES = [session_pb2.SESSION_STATUS_DRAFT, session_pb2.SESSION_STATUS_WAITING]


async def test_a_list_goes_on_with_whichever_worker_answers(running: Running) -> None:
    organization = f"org-{uuid.uuid4().hex[:8]}"
    host = bearer(running.user_token("host", role="editor", organization=organization))
    client = Client.open(running.address)
    made = set()
    for number in range(12):
        created = await client.sessions.CreateSession(
            session_service_pb2.CreateSessionRequest(
                settings=session_pb2.SessionSettings(
                    title=f"Number {number}", visibility=session_pb2.SESSION_VISIBILITY_UNLISTED
                )
            ),
            metadata=host,
        )
        made.add(created.session.session_id)
    await client.close()
    seen, token = [], ""
    while True:
        # Every page over a connection of its own, which the kernel gives to either worker.
        client = Client.open(running.address)
        page = await client.sessions.ListSessions(
            session_service_pb2.ListSessionsRequest(page_size=1, page_token=token, statuses=STATUSES),
            metadata=host,
        )
        await client.close()
        seen += [session.session_id for session in page.sessions]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == sorted(made)
