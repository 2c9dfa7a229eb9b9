#!/usr/bin/env python3
"""Tables and charts of a comparison, from its samples.

    compare_report.py [--publish TREE [--name NAME]] DIR

DIR holds what compare.sh left: samples.csv, facts.tsv, ways.tsv, seen.tsv.
compare.md, compare.csv, compare.json and the charts are written beside them;
with --publish also into doc/ of that tree, and two charts into its README.
With --name they stand there beside the main ones, and no charts.
"""
import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from statistics import median

# Tables: title, note, and columns (title, what, digits, factor).  A sample is
# multiplied by the factor first.
TABLES = [
    ("IDs per second",
     "Statements that draw 1,000 IDs each (the ticket server: one), in thousands per second.",
     [("%d clients" % c if c > 1 else "1 client", "ids %d" % c, 1, 1e-3)
      for c in (1, 2, 4, 8, 16, 32, 64)]),
    ("Time per ID",
     "The same, as one of the clients sees it: nanoseconds from ID to ID.",
     [("%d clients" % c if c > 1 else "1 client", "call time %d" % c, 0, 1) for c in (1, 8, 64)]),
    ("INSERT ... SELECT",
     "One statement, rows of a key and an integer; all per row.",
     [("time, ns", "load time", 0, 1), ("WAL, bytes", "load wal", 1, 1),
      ("table, bytes", "load table", 1, 1), ("primary key, bytes", "load key", 2, 1)]),
    ("Single-row inserts",
     "pgbench, each a transaction, into the table loaded before, from a checkpoint on.",
     [("TPS, 2 clients", "tps 2", 0, 1), ("p50, ms", "p50 2", 3, 1), ("p99, ms", "p99 2", 3, 1),
      ("WAL, bytes", "single wal 2", 0, 1),
      ("TPS, 8 clients", "tps 8", 0, 1), ("p50, ms", "p50 8", 3, 1), ("p99, ms", "p99 8", 3, 1),
      ("WAL, bytes", "single wal 8", 0, 1),
      ("primary key after them, bytes per row", "single key", 2, 1)]),
    ("Looking up",
     "Rows of the loaded table by random keys; microseconds per lookup.",
     [("inside the server, cold", "lookup cold", 1, 1e-3),
      ("inside the server, warm", "lookup warm", 2, 1e-3),
      ("by a client, warm", "point", 1, 1)]),
    ("Asking by time",
     "Rows loaded in 100 transactions; where the key does not tell the time, with a column created_at "
     "and an index on it. All per row; the query counts a hundredth of the time.",
     [("load, ns", "timed load time", 0, 1), ("indexes, bytes", "timed indexes", 1, 1),
      ("table and indexes, bytes", "timed size", 1, 1), ("query, ns per row found", "range", 0, 1)]),
    ("Collisions and order",
     "One server draws with four clients, another with one. \"Falls\" are IDs below the one made just "
     "before, \"inversions\" all pairs in the wrong order; \"late\" is the longest time by which a greater "
     "ID had been made before.",
     [("collisions", "collisions both", 0, 1),
      ("falls, one server, %", "neighbours one", 3, 1), ("inversions, one server, %", "inversions one", 4, 1),
      ("late, one server, ms", "displaced one", 1, 1),
      ("falls, both, %", "neighbours both", 3, 1), ("inversions, both, %", "inversions both", 4, 1),
      ("late, both, ms", "displaced both", 1, 1)]),
    ("Killed at work and started again",
     "Milliseconds; the first insert is a new psql each time.",
     [("until it accepts connections", "restart ready", 0, 1),
      ("the first insert after that", "restart first", 0, 1)]),
]

# When a node is lost or added: set-up, what, how it is told, digits.
EVENTS = [
    ("increments", "third forgotten",
     "third master added, set up for three, the two others forgotten: collisions in 30,000 IDs", 0),
    ("increments", "third reconfigured",
     "all three set anew above the greatest ID: collisions in 30,000 IDs", 0),
    ("increments", "third stopped",
     "milliseconds that writes must be stopped on all of them for that, at least", 0),
    ("ticket", "ticket dblink latency", "latency of a ticket by dblink, one client, ms", 3),
    ("ticket", "ticket fdw latency", "latency by postgres_fdw, one client, ms", 3),
    ("ticket", "ticket fdw failed",
     "by postgres_fdw with 8 clients: transactions that fail to serialize, %", 1),
    ("ticket", "ticket undisturbed pause", "longest pause of inserts undisturbed, ms", 0),
    ("ticket", "ticket killed pause", "its server killed, the standby takes over: longest pause, ms", 0),
    ("ticket", "ticket killed aborted", "the same: clients that got an error", 0),
    ("ticket", "ticket killed step back",
     "the same: how far below the last ID the standby's first one is", 0),
    ("ticket", "ticket frozen pause", "its server frozen for 2 s: longest pause of all inserts, ms", 0),
    ("instagram", "same number", "two servers with the same shard: collisions in 400,000 IDs", 0),
    ("snowflake", "same number", "two servers with the same static node ID: collisions in 400,000 IDs", 0),
    ("leased", "zookeeper lost goes on", "ZooKeeper killed: IDs go on for, ms", 0),
    ("leased", "zookeeper back", "ZooKeeper is back: IDs again after, ms", 0),
    ("leased", "same number", "two servers of one cluster: collisions in 400,000 IDs", 0),
]

# What was asked of this extension: title, what, over, <= or >=, value.
ASKED = [
    ("INSERT ... SELECT, time / bigserial", "load time", "bigserial", "<=", 1.0),
    ("INSERT ... SELECT, WAL / bigserial", "load wal", "bigserial", "<=", 1.0),
    ("INSERT ... SELECT, time / UUID v4", "load time", "uuid4", "<=", 0.6),
    ("primary key, size / bigserial", "load key", "bigserial", "<=", 1.02),
    ("primary key, size / UUID v4", "load key", "uuid4", "<=", 0.55),
    ("single-row inserts, 8 clients, TPS / bigserial", "tps 8", "bigserial", ">=", 1.0),
]
# Where equality is asked within noise: what was measured on both sides of it.
NOISY = {"tps 8"}

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#f0e442"]


class Comparison:
    def __init__(self, directory):
        self.directory = directory
        self.samples = {}
        with open(self.path("samples.csv")) as file:
            for number, way, what, value in csv.reader(file):
                self.samples.setdefault((way, what), {})[int(number)] = float(value)
        self.facts = self.pairs("facts.tsv")
        self.ways = self.pairs("ways.tsv")
        self.seen = [line.split("\t") for line in open(self.path("seen.tsv")).read().splitlines()]

    def path(self, name):
        return os.path.join(self.directory, name)

    def pairs(self, name):
        with open(self.path(name)) as file:
            return [tuple(line.split("\t", 1)) for line in file.read().splitlines()]

    def title(self, way):
        return dict(self.ways)[way]

    def values(self, way, what):
        return sorted(self.samples.get((way, what), {}).values())

    def ratios(self, what, way, over):
        """One for each round: what else the machine did touched both."""
        a = self.samples.get((way, what), {})
        b = self.samples.get((over, what), {})
        return sorted(a[n] / b[n] for n in a if n in b and b[n] != 0)

    def has(self, what):
        return any(way in dict(self.ways) and name == what for way, name in self.samples)


def number(value, digits):
    return "{:,.{}f}".format(value, digits)


def spread(values, digits, factor=1.0):
    if not values:
        return ""
    values = [value * factor for value in values]
    middle, low, high = (number(v, digits) for v in (median(values), values[0], values[-1]))
    return middle if low == high else "%s (%s .. %s)" % (middle, low, high)


def markdown_table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def verdict(what, ratios, comparison, asked):
    middle = median(ratios)
    if middle <= asked if comparison == "<=" else middle >= asked:
        return "met"
    if what in NOISY and ratios[0] <= asked <= ratios[-1]:
        return "within noise"
    return "not met"


def asked_rows(data):
    rows = []
    for title, what, over, comparison, asked in ASKED:
        ratios = data.ratios(what, "snowflake", over)
        if ratios:
            rows.append((title, "%s %g" % (comparison, asked), spread(ratios, 3),
                         verdict(what, ratios, comparison, asked)))
    return rows


def markdown(data):
    parts = [markdown_table(["", "what was measured"], data.facts)]
    parts.append("All figures are medians, with the smallest and the greatest of the rounds. "
                 "A ratio is taken in each round.\n")
    asked = asked_rows(data)
    if asked:
        parts.append("### What was asked\n")
        parts.append(markdown_table(["snowflake", "asked", "measured", ""], asked))
    for title, note, columns in TABLES:
        columns = [column for column in columns if data.has(column[1])]
        rows = []
        for way, name in data.ways:
            cells = [spread(data.values(way, what), digits, factor) for _, what, digits, factor in columns]
            if any(cells):
                rows.append([name] + [cell or "-" for cell in cells])
        if rows:
            parts.append("### %s\n\n%s\n" % (title, note))
            parts.append(markdown_table([""] + [column[0] for column in columns], rows))
    rows = [(data.title(way), text, spread(data.values(way, what), digits))
            for way, what, text, digits in EVENTS if data.values(way, what)]
    rows += [(data.title(way), event + ": the error", "`%s`" % text) for way, event, text in data.seen]
    if rows:
        parts.append("### When a node is lost or added\n")
        parts.append(markdown_table(["", "what was done", "what was seen"], rows))
    return "\n".join(parts)


def figures(data):
    for (way, what), values in sorted(data.samples.items()):
        values = sorted(values.values())
        yield {"way": way, "what": what, "median": median(values), "lowest": values[0],
               "highest": values[-1], "rounds": len(values)}


def write_data(data):
    with open(data.path("compare.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, ["way", "what", "median", "lowest", "highest", "rounds"])
        writer.writeheader()
        writer.writerows(figures(data))
    asked = [{"title": title, "what": what, "over": over, "comparison": comparison, "asked": value,
              "ratios": data.ratios(what, "snowflake", over)}
             for title, what, over, comparison, value in ASKED if data.ratios(what, "snowflake", over)]
    with open(data.path("compare.json"), "w") as file:
        json.dump({"facts": dict(data.facts), "ways": dict(data.ways), "asked": asked,
                   "figures": list(figures(data)), "seen": data.seen}, file, indent=1)
        file.write("\n")


# ---- Charts -----------------------------------------------------------------

def gnuplot(data, name, commands):
    """The same chart as SVG and as PNG."""
    written = []
    for terminal, suffix in (("svg size 900,480 font 'sans-serif,14' background 'white'", "svg"),
                             ("pngcairo size 900,480 font 'sans,11' background 'white'", "png")):
        file = data.path("%s.%s" % (name, suffix))
        subprocess.run(["gnuplot"], check=True, text=True, input="\n".join(
            ["set terminal %s noenhanced" % terminal, "set output '%s'" % file,
             "set border 3", "set tics nomirror", "set grid ytics lc rgb '#dddddd'"] + commands) + "\n")
        written.append(file)
    return written


def block(name, rows):
    return ["$%s << END" % name] + ["\t".join(str(cell) for cell in row) for row in rows] + ["END"]


def line_chart(data, name, title, prefix, ylabel):
    commands, plots = [], []
    counts = sorted(int(what[len(prefix):]) for what in {what for _, what in data.samples}
                    if re.fullmatch(re.escape(prefix) + r"\d+", what))
    for i, (way, label) in enumerate(data.ways):
        rows = [(c, median(values), values[0], values[-1])
                for c in counts for values in [data.values(way, "%s%d" % (prefix, c))] if values]
        if rows:
            commands += block("d%d" % i, rows)
            plots.append("$d%d using 1:2:3:4 with yerrorlines lw 2 pt 7 ps 0.6 lc rgb '%s' title \"%s\""
                         % (i, COLOURS[i % len(COLOURS)], label))
    if not plots:
        return []
    return gnuplot(data, name, commands + [
        "set title '%s'" % title, "set xlabel 'clients'", "set ylabel '%s'" % ylabel,
        "set logscale x 2", "set logscale y", "set format y '%.0s%c'", "set xtics (%s)" % ", ".join(map(str, counts)),
        "set xrange [%g:%g]" % (counts[0] * 0.9, counts[-1] * 1.1),
        "set key outside right top", "plot " + ", ".join(plots)])


def bar_chart(data, name, title, ylabel, series, log=False):
    """A group of bars for each set-up; series are (title, what, factor)."""
    series = [one for one in series if data.has(one[1])]
    rows = []
    for way, label in data.ways:
        row = ['"%s"' % re.sub(r"(?<=[a-z]),? (?=[a-zP])", r"\\n", label)]
        for _, what, factor in series:
            values = data.values(way, what)
            row += [median(values) * factor, values[0] * factor, values[-1] * factor] if values else ["NaN"] * 3
        if any(cell != "NaN" for cell in row[1:]):
            rows.append(row)
    if not series:
        return []
    plots = ["$d using %d:%d:%d:xtic(1) lc rgb '%s' title '%s'"
             % (2 + 3 * i, 3 + 3 * i, 4 + 3 * i, COLOURS[i], text) for i, (text, _, _) in enumerate(series)]
    scale = ["set logscale y"] if log else ["set yrange [0:*]"]
    return gnuplot(data, name, block("d", rows) + scale + [
        "set title '%s'" % title, "set ylabel '%s'" % ylabel,
        "set style data histogram", "set style histogram errorbars gap 1 lw 1", "set style fill solid 0.9 border",
        "set xtics scale 0", "set bmargin 7", "set key outside bottom center horizontal" if len(series) > 1 else "unset key", "plot " + ", ".join(plots)])


def charts(data):
    """Name of each chart with what it shows, for those that there are samples for."""
    made = []
    for name, text, files in [
            ("compare-throughput", "IDs per second by clients",
             line_chart(data, "compare-throughput", "IDs per second (higher is better)", "ids ", "IDs per second")),
            ("compare-index", "size of the indexes",
             bar_chart(data, "compare-index", "Size of the indexes (lower is better)", "bytes per row",
                       [("primary key, after INSERT ... SELECT", "load key", 1),
                        ("primary key, after single-row inserts", "single key", 1),
                        ("all that asking by time needs", "timed indexes", 1)])),
            ("compare-load", "INSERT ... SELECT, time",
             bar_chart(data, "compare-load", "INSERT ... SELECT, time (lower is better)", "microseconds per row",
                       [("time", "load time", 1e-3)], log=True)),
            ("compare-wal", "write-ahead log",
             bar_chart(data, "compare-wal", "Write-ahead log (lower is better)", "bytes per row",
                       [("INSERT ... SELECT", "load wal", 1), ("single-row inserts, 8 clients", "single wal 8", 1)],
                       log=True)),
            ("compare-tps", "single-row inserts per second",
             bar_chart(data, "compare-tps", "Single-row inserts (higher is better)", "transactions per second",
                       [("2 clients", "tps 2", 1), ("8 clients", "tps 8", 1)])),
            ("compare-latency", "latency of single-row inserts",
             bar_chart(data, "compare-latency", "Latency of single-row inserts, 8 clients (lower is better)",
                       "milliseconds", [("p50", "p50 8", 1), ("p99", "p99 8", 1)], log=True)),
            ("compare-lookup", "looking up by a random key",
             bar_chart(data, "compare-lookup", "Looking up by a random key (lower is better)", "microseconds",
                       [("cold cache", "lookup cold", 1e-3), ("warm cache", "lookup warm", 1e-3)], log=True)),
            ("compare-order", "IDs out of order",
             bar_chart(data, "compare-order", "Pairs of IDs in the wrong order, of two servers (lower is better)",
                       "percent", [("inversions", "inversions both", 1)], log=True))]:
        if files:
            made.append((name, text, files))
    return made


# ---- Publishing -------------------------------------------------------------

def around(file, mark):
    """The file up to the first line of the mark, and from the last one on."""
    begin, end = "<!-- %s: begin -->" % mark, "<!-- %s: end -->" % mark
    head, found, rest = open(file).read().partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        sys.exit("error: %s has no lines %s and %s" % (file, begin, end))
    return head + begin + "\n", "\n" + end + tail


def replace_between(file, mark, text):
    head, tail = around(file, mark)
    with open(file, "w") as out:
        out.write(head + text + tail)


def image(name, text, directory):
    return "![%s](%s/%s.svg)\n" % (text, directory, name)


def origin(data):
    facts = dict(data.facts)
    return "`%s`, %s, PostgreSQL %s" % (facts["command"], facts["date"], facts["server"])


def publish(data, made, tree, name):
    """Under a name, a run stands beside the main one, without charts."""
    suffix = "-" + name if name else ""
    readme, document = os.path.join(tree, "README.md"), os.path.join(tree, "doc", "compare.md")
    # Where there is no place for one part, nothing is to be changed.
    around(document, "results" + suffix)
    if not name:
        around(readme, "charts")
    for kind in ("csv", "json"):
        shutil.copy(data.path("compare." + kind), os.path.join(tree, "doc", "compare%s.%s" % (suffix, kind)))
    text = markdown(data)
    if not name:
        folder = os.path.join(tree, "doc", "img")
        os.makedirs(folder, exist_ok=True)
        for _, _, files in made:
            for file in files:
                shutil.copy(file, folder)
        text += "\n### Charts\n\n" + "\n".join(
            image(chart, title, "img") + "\n*%s: %s*\n" % (title, origin(data)) for chart, title, _ in made)
        chosen = [image(chart, title, "doc/img") for chart, title, _ in made
                  if chart in ("compare-throughput", "compare-index")]
        replace_between(readme, "charts", "\n".join(
            chosen + ["From %s.\n" % origin(data)]))
    replace_between(document, "results" + suffix, text)


def main():
    parser = argparse.ArgumentParser(description="The report of a comparison.")
    parser.add_argument("--publish", metavar="TREE", help="put it into doc/ of that tree and its README, too")
    parser.add_argument("--name", help="put it beside the main one, under this name and without charts")
    parser.add_argument("directory", help="where the results are")
    arguments = parser.parse_args()
    data = Comparison(arguments.directory)
    write_data(data)
    made = charts(data)
    with open(data.path("compare.md"), "w") as file:
        file.write("# Comparison\n\n" + markdown(data) + "\n### Charts\n\n" +
                   "\n".join(image(name, text, ".") for name, text, _ in made))
    for row in asked_rows(data):
        print("  %-50s %-8s %-28s %s" % row)
    if arguments.publish:
        publish(data, made, arguments.publish, arguments.name)


if __name__ == "__main__":
    main()
