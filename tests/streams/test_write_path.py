"""From a command to every watcher: the write path of one worker, the streams of another."""

import asyncio

from muster_kit.redis_client import open_redis
from muster_kit.streams import Hub, PostgresLog, RedisPublisher
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.rpc.notes import SCHEMA, TABLES, NotesService, prepare, write
from tests.streams.rooms import Client


async def test_what_two_workers_write_at_once_reaches_the_watchers_of_both_in_one_order(
    stores: TestStores,
) -> None:
    urls = await stores.copy_of("notes", prepare)
    service = NotesService.over(urls)
    redis: Redis = open_redis(stores.redis_url)
    log = PostgresLog(service.app, service.writer, TABLES)
    async with redis, Hub(redis, log, schema=SCHEMA) as here, Hub(redis, log, schema=SCHEMA) as there:
        room_id = await service.new_room()
        publisher = RedisPublisher(redis, schema=SCHEMA)
        writers = [service.commands(publisher=publisher) for _ in range(2)]

        async def empty() -> tuple[int, bytes]:
            return 0, b""

        options = {"snapshot": empty, "snapshot_key": "all"}
        async with (
            here.open("north", room_id, b"", **options) as one,
            there.open("north", room_id, b"", **options) as two,
            Client.of(one) as ana,
            Client.of(two) as ben,
        ):
            await asyncio.gather(*(write(writers[n % 2], room_id, f"note {n}") for n in range(100)))
            for client in (ana, ben):
                await client.until_seq(100)
            assert ana.events == ben.events == [payload for _, payload in await service.events(room_id)]
    await service.close()
    await stores.drop_database(urls)
