#!/usr/bin/python3
"""SQLAlchemy: the server_default tells that the server makes the ID, so the ORM
asks for it by RETURNING.

    orders_sqlalchemy.py insert SECONDS NAME FILE
    orders_sqlalchemy.py large
    orders_sqlalchemy.py unset

The connection is that of the PG... variables.
"""

import sys
import time

from sqlalchemy import BigInteger, Column, Text, create_engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, declarative_base

Base = declarative_base()


class Order(Base):
    __tablename__ = "orders"

    id = Column(BigInteger, primary_key=True, autoincrement=False, server_default=text("snowflake_next()"))
    item = Column(Text)


def now_us():
    return time.monotonic_ns() // 1000


def insert(engine, seconds, name, path):
    until = now_us() + float(seconds) * 1e6
    call = 0
    with open(path, "w") as file:
        while now_us() < until:
            call += 1
            begin = now_us()
            with Session(engine) as session, session.begin():
                order = Order(item=f"{name} {call}")
                session.add(order)
                session.flush()
                id = order.id
            print(name, call, begin, now_us(), id, file=file)


def large(engine):
    for id in (2**63 - 1, 2**53 + 1):
        with Session(engine) as session, session.begin():
            session.add(Order(id=id, item="sqlalchemy large"))
        with Session(engine) as session, session.begin():
            order = session.execute(select(Order).where(Order.id == id)).scalar_one()
            assert order.id == id
            print(order.id)
            session.delete(order)


def unset(engine):
    try:
        with Session(engine) as session, session.begin():
            session.add(Order(item="lamp"))
    except DBAPIError as error:
        # The driver's own exception has the SQLSTATE.
        if error.orig.pgcode != "55000":
            raise
        print(f"{error.orig.pgcode}: {error.orig.diag.message_primary}")


{"insert": insert, "large": large, "unset": unset}[sys.argv[1]](create_engine("postgresql+psycopg2://"), *sys.argv[2:])
