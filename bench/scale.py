#!/usr/bin/env python3
"""How far it goes: bench/simulate over layouts, nodes, rates and clocks.

    scale.py [--publish TREE] DIR

Builds the simulation, runs it, and writes scale.md, scale.csv and the charts
into DIR; with --publish also into doc/ of that tree.  It takes about two
minutes.  It fails where an ID is out of place by more than the clocks and the
tick explain; the simulation itself fails where an ID comes twice.
"""
import csv
import os
import platform
import shutil
import subprocess
import sys
import time

from compare_report import COLOURS, block, gnuplot, image, markdown_table, replace_between

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMMAND = "bench/scale.py"

# For waiting: layout, IDs per tick, length of a tick in ms.
LAYOUTS = [("twitter", 4096, 1), ("time:41 node:14 sequence:8", 256, 1), ("js53", 128, 1), ("sonyflake", 256, 10)]
LOADS = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98]
NODES = [1, 2, 4, 8, 16, 64, 256, 1024]
RATES = [1000, 10000, 100000, 1000000]
SKEWS = [0, 1, 10, 100]


class Place:
    """Where gnuplot() writes."""
    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        return os.path.join(self.directory, name)


def build(directory):
    program = os.path.join(directory, "simulate")
    sources = [os.path.join(ROOT, name)
               for name in ("bench/simulate.c", "src/layout.c", "src/layout_text.c", "src/step.c")]
    subprocess.run([os.environ.get("CC", "cc"), "-std=c99", "-D_GNU_SOURCE", "-O2",
                    "-I" + os.path.join(ROOT, "src"), "-o", program] + sources + ["-lm"], check=True)
    return program


def run(program, **options):
    arguments = [program]
    for name, value in options.items():
        arguments += ["--" + name, ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    output = subprocess.run(arguments, check=True, text=True, stdout=subprocess.PIPE).stdout
    rows = list(csv.DictReader(output.splitlines()))
    for row in rows:
        for name in row:
            if name != "layout":
                row[name] = float(row[name])
    return rows


def check_order(rows, tick_ms):
    """No ID is later than the two clocks furthest apart, and a tick, explain."""
    for row in rows:
        if row["latest_ms"] > 2 * row["skew_ms"] + tick_ms + 0.001:
            sys.exit("error: an ID is out of place by %.3f ms: %s" % (row["latest_ms"], row))


def short(value):
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return "%.3g %s" % (value / size, letter)
    return "%.3g" % value


def rate_text(rate):
    return {1000: "1,000", 10000: "10,000", 100000: "100,000", 1000000: "1 million"}[rate]


def lines(series):
    """Data blocks and plots of gnuplot; series are (title, [(x, y), ...])."""
    commands, plots = [], []
    for i, (title, points) in enumerate(series):
        commands += block("s%d" % i, points)
        plots.append("$s%d using 1:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb '%s' title \"%s\""
                     % (i, COLOURS[i], title))
    return commands, "plot " + ", ".join(plots)


def waiting(program, say):
    rows = []
    for layout, per_tick, tick_ms in LAYOUTS:
        say("waiting, %s" % layout)
        capacity = per_tick * 1000 / tick_ms
        found = run(program, layout=layout, rate=[load * capacity for load in LOADS],
                    ids=2000000, seconds=1)
        check_order(found, tick_ms)
        rows += zip([(layout, per_tick, tick_ms, load) for load in LOADS], found)
    return rows


def waiting_table(rows):
    table = []
    for load in LOADS:
        cells = ["%d %%" % (load * 100)]
        for (layout, _, _, of), row in rows:
            if of == load:
                cells.append("%.3g %% / %.3g ms" % (row["waited_percent"], row["longest_wait_us"] / 1000))
        table.append(cells)
    return markdown_table(["load"] + ["`%s`: %d per %s" % (name, count, "ms" if ms == 1 else "%d ms" % ms)
                                      for name, count, ms in LAYOUTS], table)


def ordering(program, say):
    rows = []
    for nodes in NODES:
        say("%d nodes" % nodes)
        # So long that the clocks' differences show, and not longer than needed.
        for rate in RATES:
            seconds = 0.5 if nodes * rate <= 1.1e7 else 0.03
            skews = [skew for skew in SKEWS if 2 * skew < seconds * 1000 * 0.8]
            rows += run(program, nodes=nodes, rate=rate, skew=skews, ids=200000, seconds=seconds)
    check_order(rows, 1)
    return rows


def find(rows, nodes, rate, skew):
    for row in rows:
        if (row["nodes"], row["rate"], row["skew_ms"]) == (nodes, rate, skew):
            return row
    return None


def nodes_table(rows):
    table = []
    for nodes in NODES:
        cells = ["%d" % nodes]
        for rate in RATES:
            row = find(rows, nodes, rate, 0)
            cells += [short(row["ids_per_second"]), "%.3g %%" % row["waited_percent"],
                      "%.1f %%" % row["falls_percent"]]
        table.append(cells)
    head = ["nodes"]
    for rate in RATES:
        head += ["%s/s each: IDs/s" % rate_text(rate), "waited", "fall"]
    return markdown_table(head, table)


def skew_table(rows):
    table = []
    for nodes in NODES[1:]:
        cells = ["%d" % nodes]
        for skew in SKEWS:
            row = find(rows, nodes, 10000, skew)
            cells.append("%.1f %% / %.1f ms" % (row["falls_percent"], row["latest_ms"]) if row else "-")
        table.append(cells)
    return markdown_table(["nodes"] + ["clocks off by up to %g ms" % skew for skew in SKEWS], table)


def charts(place, waits, orders):
    made = []
    series = [("%s, %d per %g ms" % (layout, per_tick, tick_ms),
               [(100 * of[3], row["waited_percent"])
                for of, row in waits if of[0] == layout and row["waited_percent"] > 0])
              for layout, per_tick, tick_ms in LAYOUTS]
    commands, plot = lines(series)
    made.append(("scale-wait", "requests that wait, by the load of one node", gnuplot(place, "scale-wait", commands + [
        "set title 'Requests that wait for the next tick (simulated; none where a line has not begun)'",
        "set xlabel 'load of the node, percent of what its layout allows'", "set ylabel 'percent of requests'",
        "set xrange [70:100]", "set logscale y", "set format y '%g'", "set key outside bottom center horizontal", plot])))

    series = [("%s/s each" % rate_text(rate),
               [(nodes, find(orders, nodes, rate, 0)["ids_per_second"]) for nodes in NODES]) for rate in RATES]
    series.append(("what the layout allows", [(nodes, nodes * 4096000) for nodes in NODES]))
    commands, plot = lines(series)
    made.append(("scale-throughput", "IDs per second of all nodes", gnuplot(place, "scale-throughput", commands + [
        "set title 'IDs per second of all nodes (simulated)'", "set xlabel 'nodes'", "set ylabel 'IDs per second'",
        "set logscale x 2", "set logscale y", "set format y '%.0s%c'", "set xtics (%s)" % ", ".join(map(str, NODES)),
        "set key outside right top", plot])))

    series = [("clocks off by up to %g ms" % skew,
               [(nodes, max(row["latest_ms"], 1e-3)) for nodes in NODES[1:]
                for row in [find(orders, nodes, 10000, skew)] if row]) for skew in SKEWS]
    commands, plot = lines(series)
    made.append(("scale-order", "how late an ID can be", gnuplot(place, "scale-order", commands + [
        "set title 'How long after a greater ID an ID is made, at most (10,000/s each, simulated)'",
        "set xlabel 'nodes'", "set ylabel 'ms'", "set logscale x 2", "set logscale y", "set format y '%g'",
        "set xtics (%s)" % ", ".join(map(str, NODES[1:])), "set key outside bottom center horizontal", plot])))
    return made


def main():
    arguments = sys.argv[1:]
    tree = None
    if arguments[:1] == ["--publish"]:
        tree = arguments[1]
        arguments = arguments[2:]
    if len(arguments) != 1:
        sys.exit(__doc__)
    os.makedirs(arguments[0], exist_ok=True)
    place = Place(arguments[0])
    begun = time.time()

    def say(text):
        print("%5.0f s  %s" % (time.time() - begun, text), flush=True)

    program = build(arguments[0])
    waits = waiting(program, say)
    orders = ordering(program, say)
    os.remove(program)
    made = charts(place, waits, orders)
    rows = [row for _, row in waits] + orders
    with open(place.path("scale.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

    date = time.strftime("%Y-%m-%d", time.gmtime())
    pictures = {name: image(name, text, "img") for name, text, _ in made}
    text = "\n".join([
        "`%s`, %s, %s. %s IDs were made in all; none came twice.\n"
        % (COMMAND, date, platform.machine(), short(sum(row["ids"] for row in rows)).replace(" M", " million")),
        "### Waiting\n",
        "One node, clients that ask at random. How many requests wait for the next tick / the longest wait:\n",
        waiting_table(waits), pictures["scale-wait"],
        "### More nodes\n",
        "`twitter`, all clocks right. Those that fall are IDs below the one made just before, always by another\n"
        "node in the same millisecond: within it the node ID decides, so with many nodes half of them fall.\n",
        nodes_table(orders), pictures["scale-throughput"],
        "### Clocks that differ\n",
        "10,000 IDs per second and node. IDs that fall / how long after a greater ID one was made, at most:\n",
        skew_table(orders), pictures["scale-order"]])
    with open(place.path("scale.md"), "w") as file:
        file.write(text)
    if tree:
        folder = os.path.join(tree, "doc", "img")
        os.makedirs(folder, exist_ok=True)
        for _, _, files in made:
            for file in files:
                shutil.copy(file, folder)
        shutil.copy(place.path("scale.csv"), os.path.join(tree, "doc"))
        replace_between(os.path.join(tree, "doc", "scale.md"), "simulation", text)
    say("the results are in %s" % arguments[0])


if __name__ == "__main__":
    main()
