#!/usr/bin/python3
"""Many clients of one pooler, each with a connection of its own.

    load.py CONNINFO CLIENTS SECONDS FILE

Each client inserts a few rows in a statement, again and again.  FILE gets a
line for each call: client, number of the call, begin and end in microseconds of
the monotonic clock, and the IDs.
"""

import asyncio
import random
import resource
import sys
import time

import psycopg

INSERT = "INSERT INTO orders (item) SELECT %s FROM generate_series(1, %s) RETURNING id"


def now():
    return time.monotonic_ns() // 1000


async def connect(conninfo):
    # Transactions go to any server connection, so none has the statements that
    # another prepared.
    return await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None)


async def client(connection, name, until, file):
    call = 0
    while time.monotonic() < until:
        call += 1
        begin = now()
        cursor = await connection.execute(INSERT, (f"{name} {call}", random.randint(1, 5)))
        ids = [row[0] for row in await cursor.fetchall()]
        print(name, call, begin, now(), *ids, file=file)
        await asyncio.sleep(random.random() * 0.1)


async def main(conninfo, clients, seconds, path):
    # A socket for each client.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    connections = [await connect(conninfo) for _ in range(clients)]
    print("connected", flush=True)
    until = time.monotonic() + seconds
    with open(path, "w") as file:
        await asyncio.gather(*(client(connection, f"client{i}", until, file)
                               for i, connection in enumerate(connections)))
    print("done", flush=True)
    sys.stdin.read()
    for connection in connections:
        await connection.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
