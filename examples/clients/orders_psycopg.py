#!/usr/bin/python3
"""psycopg 3: an ID is an int, exact at any size.

    orders_psycopg.py insert SECONDS NAME FILE
    orders_psycopg.py large
    orders_psycopg.py unset

The connection is that of the PG... variables.
"""

import sys
import time

import psycopg


def now_us():
    return time.monotonic_ns() // 1000


def insert(connection, seconds, name, path):
    until = now_us() + float(seconds) * 1e6
    call = 0
    with open(path, "w") as file:
        while now_us() < until:
            call += 1
            begin = now_us()
            (id,) = connection.execute(
                "INSERT INTO orders (item) VALUES (%s) RETURNING id", (f"{name} {call}",)
            ).fetchone()
            print(name, call, begin, now_us(), id, file=file)


def large(connection):
    for id in (2**63 - 1, 2**53 + 1):
        connection.execute("INSERT INTO orders (id, item) VALUES (%s, 'psycopg large')", (id,))
        (back,) = connection.execute("DELETE FROM orders WHERE id = %s RETURNING id", (id,)).fetchone()
        assert back == id
        print(back)


def unset(connection):
    try:
        connection.execute("INSERT INTO orders (item) VALUES ('lamp')")
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        print(f"{error.sqlstate}: {error.diag.message_primary}")


with psycopg.connect(autocommit=True) as connection:
    {"insert": insert, "large": large, "unset": unset}[sys.argv[1]](connection, *sys.argv[2:])
