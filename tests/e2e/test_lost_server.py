"""A worker whose server ends by itself does not stay on as an empty shell."""

import asyncio
import os
import sys

from muster_stack.embedded.stores import DATABASE

from tests.chaos import http2
from tests.conftest import TestStores

SECRET = "a secret of thirty-two characters or more"

# grpcio's own server, which a path that is no UTF-8 ends.
WITHOUT_INTAKE = """
import sys
import muster_kit.rpc.intake as intake
from muster_stack.worker import main
intake._PARTS = {"gone"}
sys.exit(main(["presence"]))
"""


async def test_a_worker_without_its_server_ends(stores: TestStores) -> None:
    environment = os.environ | {
        "MUSTER_DATABASE_URL": stores.urls(DATABASE).app_url,
        "MUSTER_WRITER_DATABASE_URL": stores.urls(DATABASE).writer_url,
        "MUSTER_REDIS_URL": stores.redis_url,
        "MUSTER_USER_TOKEN_SECRET": SECRET,
        "MUSTER_SERVICE_TOKEN_SECRET": SECRET,
        "MUSTER_LISTEN": "127.0.0.1:0",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WITHOUT_INTAKE), env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            port = 0
            while not port:
                line = await process.stderr.readline()
                assert line, "it does not serve"
                port = int(line.partition(b'"port": ')[2].partition(b",")[0] or 0)
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            call = b"".join(map(bytes, http2.call("/nowhere", b"")))
            writer.write(http2.opening() + call.replace(b"/nowhere", b"/\xffowhere"))
            _, said = await process.communicate()
            writer.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 1
    assert b"The server has ended by itself: UnicodeDecodeError." in said
