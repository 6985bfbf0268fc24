"""The embedded stores: reachable with their passwords, back after a kill."""

import asyncpg
import redis.asyncio


async def test_each_role_reaches_the_database(stores, database):
    for role, url in {
        "postgres": database.admin_url,
        "muster_owner": database.owner_url,
        "muster_app": database.app_url,
        "muster_writer": database.writer_url,
    }.items():
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT current_user") == role
        await connection.close()


async def test_a_copied_database_holds_what_its_template_was_prepared_with(stores):
    prepared = 0

    async def prepare(urls):
        nonlocal prepared
        prepared += 1
        connection = await asyncpg.connect(urls.owner_url)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        await connection.close()

    copies = [await stores.copy_of("kept", prepare) for _ in range(2)]
    assert prepared == 1
    for urls in copies:
        connection = await asyncpg.connect(urls.owner_url)
        assert await connection.fetchval("SELECT n FROM kept") == 7
        await connection.close()


async def test_valkey_keeps_its_keys_over_a_clean_restart(stores):
    async with redis.asyncio.from_url(stores.redis_url) as client:
        await client.set("muster:kept", "7")
    await stores.valkey.stop()
    await stores.valkey.start()
    async with redis.asyncio.from_url(stores.redis_url) as client:
        assert await client.get("muster:kept") == b"7"


async def test_postgres_keeps_what_was_committed_over_a_kill(stores, database):
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("CREATE TABLE survivor AS SELECT 7 AS n")
    stores.postgres.kill()
    await stores.postgres.wait()
    await stores.postgres.start()
    connection.terminate()
    connection = await asyncpg.connect(database.owner_url)
    assert await connection.fetchval("SELECT n FROM survivor") == 7
    await connection.close()
