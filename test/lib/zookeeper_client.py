"""What a test does in ZooKeeper itself: reads, writes, and the record of all writes.

    zookeeper_client.py HOSTS [USER:PASSWORD]

Takes requests, one JSON object a line, from its input and answers each with a
line: {"ok": ...}, or {"error": "NoNodeError", "text": ...}.  Bytes are strings
with one character (0 to 255) for each.  Ends with its input, so it does not
outlive the test.
"""

import collections
import glob
import json
import logging
import os
import struct
import sys
import time

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, KazooException, NotEmptyError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.retry import KazooRetry, RetryFailedError
from kazoo.security import ACL, Id

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)

CREATE, DELETE, SET_DATA, SET_ACL, CHECK, MULTI, CREATE2, ERROR = 1, 2, 5, 7, 13, 14, 15, -1
CREATE_CONTAINER, CREATE_TTL, CREATE_SESSION, CLOSE_SESSION = 19, 21, -10, -11


def text(data):
    return data.decode("latin-1")


def raw(data):
    return data.encode("latin-1")


# ---- The transaction log of a server ----------------------------------------


class Jute:
    """ZooKeeper's encoding, read from the front."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        value = struct.unpack_from(">" + form, self.data, self.at)[0]
        self.at += struct.calcsize(">" + form)
        return value

    def buffer(self):
        length = self.take("i")
        if length < 0:
            return b""
        if self.at + length > len(self.data):
            raise struct.error("short")
        self.at += length
        return self.data[self.at - length : self.at]


def parse_change(kind, jute):
    """One change of a transaction, or None where it changes no znode."""
    if kind in (CREATE, CREATE2, CREATE_CONTAINER, CREATE_TTL):
        change = {"op": "create", "path": text(jute.buffer()), "data": text(jute.buffer())}
        for _ in range(jute.take("i")):  # the ACL
            jute.take("i"), jute.buffer(), jute.buffer()
        change["ephemeral"] = kind in (CREATE, CREATE2) and jute.take("?")
        return change
    if kind == DELETE:
        return {"op": "delete", "path": text(jute.buffer())}
    if kind == SET_DATA:
        return {"op": "set", "path": text(jute.buffer()), "data": text(jute.buffer()), "version": jute.take("i")}
    return None


def parse_transaction(data):
    jute = Jute(data)
    session, _, zxid, time_ms, kind = (jute.take(form) for form in "qiqqi")
    changes = []
    if kind == MULTI:
        parts = [(jute.take("i"), jute.buffer()) for _ in range(jute.take("i"))]
        # One that failed is there as errors only, and changed nothing.
        if not any(part == ERROR for part, _ in parts):
            changes = [parse_change(part, Jute(body)) for part, body in parts]
    elif kind == CLOSE_SESSION:
        # The ephemerals that went with the session, on servers that write them.
        paths = []
        if jute.at < len(data):
            paths = [text(jute.buffer()) for _ in range(jute.take("i"))]
        changes = [{"op": "delete", "path": path} for path in paths]
    else:
        changes = [parse_change(kind, jute)]
    return {
        "zxid": zxid,
        "time_ms": time_ms,
        "session": "%x" % (session & (2**64 - 1)),
        "changes": [change for change in changes if change],
    }


def read_log(path):
    """The transactions in a log file, which may still be written to."""
    with open(path, "rb") as file:
        jute = Jute(file.read())
    found = []
    try:
        if (jute.take("i"), jute.take("i")) != (0x5A4B4C47, 2):
            return []
        jute.take("q")
        while True:
            jute.take("q")  # the check sum
            body = jute.buffer()
            if not body or jute.take("B") != ord("B"):
                break
            found.append(parse_transaction(body))
    except struct.error:
        pass
    return found


def transactions(directories):
    """The transactions of an ensemble with its data in these directories, in their order.

    One is done when most servers have it in their logs, and none of those leaves them.
    A leader that was frozen finds out late that it is none any more: what it wrote
    until then may stay in its log, and never happened.
    """
    found = {}
    logs = collections.Counter()
    for directory in directories:
        own = {}
        for path in glob.glob(os.path.join(directory, "version-2", "log.*")):
            own.update((transaction["zxid"], transaction) for transaction in read_log(path))
        logs.update(own.keys())
        found.update(own)
    return [found[zxid] for zxid in sorted(found) if logs[zxid] > len(directories) / 2]


# ---- Requests to the ensemble -----------------------------------------------


def stat_of(stat):
    return {
        "version": stat.version,
        "czxid": stat.czxid,
        "mzxid": stat.mzxid,
        "ctime": stat.ctime,
        "mtime": stat.mtime,
        "owner": "%x" % stat.ephemeralOwner if stat.ephemeralOwner else None,
    }


def acl_of(entries):
    return [{"perms": entry.perms, "scheme": entry.id.scheme, "id": entry.id.id} for entry in entries]


def acl_from(entries):
    if entries is None:
        return None
    return [ACL(entry["perms"], Id(entry["scheme"], entry["id"])) for entry in entries]


class Tests:
    def __init__(self, hosts, auth):
        self.started = False
        self.patience = 0
        self.client = KazooClient(
            hosts=hosts,
            timeout=4.0,
            auth_data=[("digest", auth)] if auth else None,
            connection_retry=KazooRetry(max_tries=-1, delay=0.02, max_delay=0.2),
        )

    # kazoo reconnects by itself, but keeps a request waiting for that for ever.
    def connected(self):
        if not self.started:
            self.client.start(timeout=60)
            self.started = True
        deadline = time.monotonic() + self.patience
        while not self.client.connected:
            if time.monotonic() > deadline:
                raise ConnectionLoss("not connected")
            time.sleep(0.01)
        return self.client

    # "once": do not try again where a connection was lost.
    def run(self, request, function):
        self.patience = 1 if request.get("once") else 60
        if request.get("once"):
            return function()
        return KazooRetry(max_tries=-1, deadline=120, delay=0.02, max_delay=0.2)(function)

    def get(self, request):
        data, stat = self.connected().get(request["path"])
        return {"data": text(data), **stat_of(stat)}

    def set(self, request):
        return stat_of(
            self.connected().set(request["path"], raw(request["data"]), version=request.get("version", -1))
        )

    def create(self, request):
        return self.connected().create(
            request["path"],
            raw(request.get("data", "")),
            acl=acl_from(request.get("acl")),
            ephemeral=bool(request.get("ephemeral")),
            makepath=bool(request.get("parents")),
        )

    # Servers may make nodes below it anew meanwhile, now and then.
    def delete(self, request):
        for attempt in range(20):
            try:
                self.connected().delete(
                    request["path"], version=request.get("version", -1), recursive=bool(request.get("recursive"))
                )
                return True
            except NotEmptyError:
                if not request.get("recursive") or attempt == 19:
                    raise

    def exists(self, request):
        stat = self.connected().exists(request["path"])
        return stat_of(stat) if stat else False

    def children(self, request):
        return sorted(self.connected().get_children(request["path"]))

    def sync(self, request):
        self.connected().sync(request["path"])
        return True

    def tree(self, request):
        client = self.connected()
        client.sync(request["path"])
        found, waiting = {}, [request["path"]]
        while waiting:
            path = waiting.pop()
            try:
                data, stat = client.get(path)
                acl, _ = client.get_acls(path)
                waiting += [path.rstrip("/") + "/" + child for child in client.get_children(path)]
            except KazooException as error:
                if type(error).__name__ != "NoNodeError":
                    raise
                continue
            found[path] = {"data": text(data), "acl": acl_of(acl), **stat_of(stat)}
        return found

    def set_acl(self, request):
        return stat_of(self.connected().set_acls(request["path"], acl_from(request["acl"])))

    def multi(self, request):
        transaction = self.connected().transaction()
        for part in request["parts"]:
            if part["op"] == "check":
                transaction.check(part["path"], part["version"])
            elif part["op"] == "create":
                transaction.create(part["path"], raw(part.get("data", "")))
            elif part["op"] == "set":
                transaction.set_data(part["path"], raw(part["data"]), version=part.get("version", -1))
            elif part["op"] == "delete":
                transaction.delete(part["path"], version=part.get("version", -1))
        results = transaction.commit()
        failed = [result for result in results if isinstance(result, Exception)]
        if failed:
            raise failed[0]
        return True

    def session(self, _):
        return "%x" % self.connected().client_id[0]

    def transactions(self, request):
        return transactions(request["directories"])

    def stop(self, _):
        self.client.stop()
        self.client.close()
        return True


OPERATIONS = (
    "get set create delete exists children tree sync set_acl multi session transactions stop"
).split()


def main():
    tests = Tests(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    for line in sys.stdin:
        request = json.loads(line)
        operation = request["op"]
        try:
            if operation not in OPERATIONS:
                raise ValueError("no such operation: %s" % operation)
            function = getattr(tests, operation)
            answer = {"ok": tests.run(request, lambda: function(request))}
        except (KazooException, KazooTimeoutError, RetryFailedError, ValueError, OSError) as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)
    os._exit(0)


main()
