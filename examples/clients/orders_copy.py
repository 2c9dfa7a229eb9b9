#!/usr/bin/python3
"""COPY from a client, which returns no IDs: either the rows bring IDs that were
drawn before, or they are looked up afterwards.

    orders_copy.py insert SECONDS NAME FILE
    orders_copy.py large
    orders_copy.py unset

The connection is that of the PG... variables.
"""

import sys
import time

import psycopg

ROWS = 20


def now_us():
    return time.monotonic_ns() // 1000


def copy_with_ids(connection, item):
    """Only so does the client know which ID belongs to which row."""
    ids = [id for (id,) in connection.execute("SELECT snowflake_next_batch(%s)", (ROWS,))]
    with connection.cursor().copy("COPY orders (id, item) FROM STDIN") as copy:
        for id in ids:
            copy.write_row((id, item))
    return ids


def copy_without_ids(connection, item):
    with connection.cursor().copy("COPY orders (item) FROM STDIN") as copy:
        for _ in range(ROWS):
            copy.write_row((item,))
    # The condition on the ID keeps the primary key in use.
    return [id for (id,) in connection.execute(
        "SELECT id FROM orders WHERE item = %s AND id >= snowflake_lower(now() - interval '1 minute') ORDER BY id", (item,))]


def insert(connection, seconds, name, path):
    until = now_us() + float(seconds) * 1e6
    call = 0
    with open(path, "w") as file:
        while now_us() < until:
            call += 1
            begin = now_us()
            copy = copy_with_ids if call % 2 else copy_without_ids
            ids = copy(connection, f"{name} {call}")
            print(name, call, begin, now_us(), *ids, file=file)
            time.sleep(0.01)


def large(connection):
    ids = (2**63 - 1, 2**53 + 1)
    with connection.cursor().copy("COPY orders (id, item) FROM STDIN") as copy:
        for id in ids:
            copy.write_row((id, "copy large"))
    with connection.cursor().copy("COPY (SELECT id FROM orders WHERE item = 'copy large') TO STDOUT") as copy:
        copy.set_types(["int8"])
        back = [row[0] for row in copy.rows()]
    connection.execute("DELETE FROM orders WHERE item = 'copy large'")
    assert sorted(back) == sorted(ids)
    print(*back, sep="\n")


def unset(connection):
    try:
        copy_without_ids(connection, "lamp")
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        print(f"{error.sqlstate}: {error.diag.message_primary}")


with psycopg.connect(autocommit=True) as connection:
    {"insert": insert, "large": large, "unset": unset}[sys.argv[1]](connection, *sys.argv[2:])
