"""A relay between clients and ZooKeeper servers that cuts or delays at a chosen request.

    zookeeper_proxy.py PORT=SERVERPORT...

Listens on each PORT of the loopback, and passes what comes on to SERVERPORT
there.  It reads the client protocol, so that a connection can be cut when a
certain kind of request is under way: before the server has it, or after the
server has answered and before the client hears of it.

Orders come as JSON objects, one a line, and each is answered with a line
{"ok": ...}:

    {"op": "rule", "request": "multi", "when": "lost" | "unanswered" | "delayed" |
     "answered late" | "garbled", "match": REGEX, "seconds": N, "times": N}
        "lost": the request does not reach the server; "unanswered": it does, but
        the answer does not reach the client; both cut the connection.  "garbled":
        the first string of the answer, to children or getACL, has no length.  "request"
        is one or more names of KINDS, or "any"; "match" is looked for in the
        request's parts, as described at describe().  Returns the rule's number.
    {"op": "fired", "rule": N, "seconds": N}
        Waits, at most that long, until the rule was applied the last of its
        times; returns how often it was.
    {"op": "drop", "rule": N}  forget that one
    {"op": "clear"}            forget all rules
    {"op": "cut"}              close all connections
    {"op": "refuse"}           close them and take no new ones
    {"op": "accept"}           take new ones again
    {"op": "hold"}             pass nothing on, in either direction, until
    {"op": "release"}
    {"op": "seen"}             the requests so far, and forget them

A port of 0 is chosen by the system.  The first line of the output says the
ports.  Ends with its input.
"""

import asyncio
import itertools
import json
import re
import struct
import sys
import time

KINDS = {
    1: "create", 2: "delete", 3: "exists", 4: "get", 5: "set", 6: "getACL", 7: "setACL", 8: "children",
    9: "sync", 11: "ping", 12: "children", 13: "check", 14: "multi", 15: "create", 18: "removeWatches",
    19: "create", 21: "create", -11: "close", 100: "auth", 101: "setWatches", 105: "setWatches",
}  # fmt: skip
CONNECT = "connect"
LONGEST_FRAME = 1 << 25


def text(data):
    return data.decode("latin-1")


class Body:
    """A request, read from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from(">" + form, self.data, self.at)[0]
        self.at += struct.calcsize(">" + form)
        return value

    def string(self):
        length = max(self.take("i"), 0)
        self.at += length
        return text(self.data[self.at - length : self.at])


def describe_part(kind, body):
    """"set /path data" and the like; data is not told where it can be secret."""
    if kind == "multi":
        parts = []
        while True:
            part, done, _ = body.take("i"), body.take("?"), body.take("i")
            if done:
                return "; ".join(parts)
            parts.append(describe_part(KINDS.get(part, str(part)), body))
    if kind in ("ping", "close", "auth", "setWatches", "removeWatches"):
        return kind
    told = "%s %s" % (kind, body.string())
    if kind == "create":
        data = body.string()
        for _ in range(body.take("i")):
            body.take("i"), body.string(), body.string()
        return "%s%s %s" % (told, " (ephemeral)" if body.take("i") & 1 else "", data)
    if kind == "set":
        data = body.string()
        return "%s version %d %s" % (told, body.take("i"), data)
    if kind in ("check", "delete"):
        return "%s version %d" % (told, body.take("i"))
    return told


def describe(kind, data):
    try:
        return describe_part(kind, Body(data))
    except struct.error:
        return kind + " (not understood)"


def garble(kind, data):
    """An answer whose first string is none; what follows it is as it was."""
    header, count = 16, 4
    if len(data) <= header + count:  # an error, or an empty vector
        return data[:header] + struct.pack(">ii", 1, -1) + data[header + count :]
    at = header + count + (4 if kind == "getACL" else 0)
    (length,) = struct.unpack_from(">i", data, at)
    return data[:at] + struct.pack(">i", -1) + data[at + 4 + max(length, 0) :]


class Rule:
    def __init__(self, order):
        self.kinds = order.get("request", "any").split()
        self.when = order["when"]
        if self.when not in ("lost", "unanswered", "delayed", "answered late", "garbled"):
            raise ValueError("no such rule: " + self.when)
        self.match = re.compile(order.get("match", ""), re.DOTALL)
        self.seconds = order.get("seconds", 0)
        self.times = order.get("times", 1)
        self.fired = 0
        self.done = asyncio.Event()

    def applies(self, kind, told):
        if self.fired >= self.times:
            return False
        return ("any" in self.kinds or kind in self.kinds) and self.match.search(told) is not None

    def fire(self):
        self.fired += 1
        if self.fired == self.times:
            self.done.set()


class Proxy:
    def __init__(self, ports):
        self.wanted = ports
        self.ports = []
        self.listeners = []
        self.connections = set()
        self.rules = []
        self.seen = []
        self.passing = asyncio.Event()
        self.passing.set()

    async def listen(self):
        for i, (port, server_port) in enumerate(self.wanted):
            if i < len(self.ports):
                port = self.ports[i]

            def connected(reader, writer, server_port=server_port):
                return Connection(self, reader, writer).run(server_port)

            listener = await asyncio.start_server(connected, "127.0.0.1", port, limit=LONGEST_FRAME)
            if i == len(self.ports):
                self.ports.append(listener.sockets[0].getsockname()[1])
            self.listeners.append(listener)

    def cut(self):
        for connection in list(self.connections):
            connection.cut()

    async def obey(self, order):
        op = order["op"]
        if op == "rule":
            self.rules.append(Rule(order))
            return len(self.rules) - 1
        if op == "fired":
            rule = self.rules[order["rule"]]
            try:
                await asyncio.wait_for(rule.done.wait(), order.get("seconds", 0))
            except asyncio.TimeoutError:
                pass
            return rule.fired
        if op == "drop":
            self.rules[order["rule"]].times = 0
        elif op == "clear":
            for rule in self.rules:
                rule.times = 0
        elif op == "cut":
            self.cut()
        elif op == "refuse":
            for listener in self.listeners:
                listener.close()
            self.listeners = []
            self.cut()
        elif op == "accept":
            if not self.listeners:
                await self.listen()
        elif op == "hold":
            self.passing.clear()
        elif op == "release":
            self.passing.set()
        elif op == "seen":
            seen, self.seen = self.seen, []
            return seen
        else:
            raise ValueError("no such order: " + op)
        return True


class Connection:
    def __init__(self, proxy, reader, writer):
        self.proxy = proxy
        self.client = reader, writer
        self.server = None
        self.waiting = {}  # rules on answers, by what the client calls the request
        self.tasks = []

    async def run(self, server_port):
        self.proxy.connections.add(self)
        try:
            self.server = await asyncio.open_connection("127.0.0.1", server_port, limit=LONGEST_FRAME)
            self.tasks = [asyncio.ensure_future(self.requests()), asyncio.ensure_future(self.answers())]
            await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass
        finally:
            self.cut()

    def cut(self):
        self.proxy.connections.discard(self)
        for task in self.tasks:
            task.cancel()
        for _, writer in (self.client, self.server or self.client):
            # At once, and without what was not sent yet.
            writer.transport.abort()

    @staticmethod
    async def frame(reader):
        (length,) = struct.unpack(">i", await reader.readexactly(4))
        return await reader.readexactly(length)

    async def forward(self, writer, data):
        await self.proxy.passing.wait()
        writer.write(struct.pack(">i", len(data)) + data)
        await writer.drain()

    async def requests(self):
        first = True
        try:
            while True:
                data = await self.frame(self.client[0])
                if first:
                    kind, call, told = CONNECT, CONNECT, CONNECT
                else:
                    call, number = struct.unpack_from(">ii", data)
                    kind = KINDS.get(number, str(number))
                    told = describe(kind, data[8:])
                first = False
                self.proxy.seen.append({"us": time.monotonic_ns() // 1000, "request": kind, "told": told})
                rule = next((rule for rule in self.proxy.rules if rule.applies(kind, told)), None)
                if rule is None:
                    pass
                elif rule.when == "lost":
                    rule.fire()
                    return
                elif rule.when == "delayed":
                    rule.fire()
                    await asyncio.sleep(rule.seconds)
                else:
                    self.waiting[call] = rule, kind
                await self.forward(self.server[1], data)
        except (asyncio.IncompleteReadError, OSError):
            pass

    async def answers(self):
        first = True
        try:
            while True:
                data = await self.frame(self.server[0])
                call = CONNECT if first else struct.unpack_from(">i", data)[0]
                first = False
                rule, kind = self.waiting.pop(call, (None, None))
                if rule is not None:
                    rule.fire()
                    if rule.when == "unanswered":
                        return
                    if rule.when == "garbled":
                        data = garble(kind, data)
                    await asyncio.sleep(rule.seconds)
                await self.forward(self.client[1], data)
        except (asyncio.IncompleteReadError, OSError):
            pass


async def main():
    proxy = Proxy([tuple(int(port) for port in pair.split("=")) for pair in sys.argv[1:]])
    await proxy.listen()
    print(json.dumps({"ok": proxy.ports}), flush=True)

    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while line := await orders.readline():
        try:
            answer = {"ok": await proxy.obey(json.loads(line))}
        except (ValueError, KeyError, IndexError, OSError, re.error) as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)
    proxy.cut()


asyncio.run(main())
