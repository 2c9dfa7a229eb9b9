#!/usr/bin/python3
"""Django: an automatic field whose column is the domain "snowflake".

    orders_django.py insert SECONDS NAME FILE
    orders_django.py large
    orders_django.py unset
    orders_django.py create     make the table, as a migration would

The connection is that of the PG... variables.
"""

import os
import sys
import time

import django
from django.conf import settings
from django.db import connection, models, utils

settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "USER": os.environ["PGUSER"],
        "NAME": os.environ["PGDATABASE"],
    }},
    USE_TZ=True,
)
django.setup()


class SnowflakeField(models.BigAutoField):
    """A BigAutoField, which Django leaves out of INSERT and reads back by
    RETURNING, with the domain in place of a sequence.  Foreign keys to it are
    bigint."""

    def db_type(self, connection):
        return "snowflake"

    def db_type_suffix(self, connection):
        return None


class Order(models.Model):
    id = SnowflakeField(primary_key=True)
    item = models.TextField()

    class Meta:
        app_label = "example"
        db_table = "django_orders"


def now_us():
    return time.monotonic_ns() // 1000


def create():
    with connection.schema_editor() as editor:
        editor.create_model(Order)


def insert(seconds, name, path):
    until = now_us() + float(seconds) * 1e6
    call = 0
    with open(path, "w") as file:
        while now_us() < until:
            call += 1
            begin = now_us()
            if call % 2:
                orders = [Order.objects.create(item=f"{name} {call}")]
            else:
                orders = Order.objects.bulk_create([Order(item=f"{name} {call}") for _ in range(5)])
            print(name, call, begin, now_us(), *(order.id for order in orders), file=file)


def large():
    for id in (2**63 - 1, 2**53 + 1):
        Order.objects.create(id=id, item="django large")
        order = Order.objects.get(id=id)
        assert order.id == id
        print(order.id)
        order.delete()


def unset():
    try:
        Order.objects.create(item="lamp")
    except utils.OperationalError as error:
        # Django wraps the driver's exception, which has the SQLSTATE.
        if error.__cause__.pgcode != "55000":
            raise
        print(f"{error.__cause__.pgcode}: {error.__cause__.diag.message_primary}")


{"insert": insert, "large": large, "unset": unset, "create": create}[sys.argv[1]](*sys.argv[2:])
