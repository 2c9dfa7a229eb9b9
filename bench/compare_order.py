#!/usr/bin/env python3
"""Do IDs come twice, and do they rise with the time?

Reads lines "server,time in microseconds,ID" of two servers, and prints samples
(what, value), once for server 1 and once for both together:

drawn        how many IDs there are
collisions   how many of them had been made before
neighbours   of IDs made one after another, the percentage that falls
inversions   of all pairs of IDs, the percentage that falls
displaced    how long before an ID a greater one was made, at most, in ms

IDs of the same microsecond count as in order.
"""
import sys


def inversions(ranks):
    """How many pairs of a list fall, by merging; sorts the list."""
    if len(ranks) < 2:
        return 0
    middle = len(ranks) // 2
    left, right = ranks[:middle], ranks[middle:]
    count = inversions(left) + inversions(right)
    i = j = k = 0
    while i < len(left) and j < len(right):
        if right[j] < left[i]:
            count += len(left) - i
            ranks[k] = right[j]
            j += 1
        else:
            ranks[k] = left[i]
            i += 1
        k += 1
    ranks[k:] = left[i:] + right[j:]
    return count


def longest_displacement(times, ids):
    """The largest time from a greater ID that was made before to an ID."""
    # The greatest IDs so far, each with the first time of an ID that great.
    peaks = []
    longest = 0
    for time, value in zip(times, ids):
        if peaks and peaks[-1][0] > value:
            low, high = 0, len(peaks) - 1
            while low < high:
                middle = (low + high) // 2
                if peaks[middle][0] > value:
                    high = middle
                else:
                    low = middle + 1
            longest = max(longest, time - peaks[low][1])
        else:
            peaks.append((value, time))
    return longest


def figures(drawn, label):
    drawn.sort()
    times = [time for time, value in drawn]
    ids = [value for time, value in drawn]
    total = len(ids)
    falls = sum(b < a for a, b in zip(ids, ids[1:]))
    print("drawn %s,%d" % (label, total))
    print("collisions %s,%d" % (label, total - len(set(ids))))
    print("neighbours %s,%.6f" % (label, 100 * falls / (total - 1)))
    print("displaced %s,%.3f" % (label, longest_displacement(times, ids) / 1000))
    pairs = total * (total - 1) / 2
    print("inversions %s,%.6f" % (label, 100 * inversions(list(ids)) / pairs))


def main():
    servers = {}
    for line in sys.stdin:
        server, time, value = line.rstrip("\n").split(",")
        # The text of UUIDs sorts as they do; numbers do not.
        value = value if "-" in value else int(value)
        servers.setdefault(server, []).append((int(time), value))
    figures(servers["1"], "one")
    figures([row for rows in servers.values() for row in rows], "both")


if __name__ == "__main__":
    main()
