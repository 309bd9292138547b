#!/usr/bin/env python3
"""Makes services/results/src/summary/ports.tsv of IANA's registry of service names and port numbers.

usage: ports.py service-names-port-numbers.csv > services/results/src/summary/ports.tsv

The registry is https://www.iana.org/assignments/service-names-port-numbers (CC0). A line is a port, a tab, transports and a name for each
group of transports that share it. Where a port has several names, the first one registered stands, but for those below.
"""

import csv
import re
import sys

# A name that replaced the first, or that everybody uses: RFC 8314, RFC 2661, and NFS' own port.
PREFERRED = {
    ("tcp", 465): "submissions",
    ("udp", 1701): "l2tp",
    ("tcp", 2049): "nfs",
    ("udp", 2049): "nfs",
    ("sctp", 2049): "nfs",
    ("tcp", 9100): "pdl-datastream",
    ("udp", 9100): "pdl-datastream",
}
TRANSPORTS = ("tcp", "udp", "sctp")


def read(path):
    names, newest = {}, ""
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name, ports, transport = row["Service Name"], row["Port Number"], row["Transport Protocol"]
            newest = max(newest, row["Registration Date"], row["Modification Date"])
            if not re.fullmatch(r"[\x21-\x7e]+", name) or not ports or transport not in TRANSPORTS:
                continue
            first, _, last = ports.partition("-")
            for port in range(int(first), int(last or first) + 1):
                names.setdefault(port, {}).setdefault(transport, PREFERRED.get((transport, port), name))
    return names, newest


def main():
    names, newest = read(sys.argv[1])
    print(f"# IANA Service Name and Transport Protocol Port Number Registry (CC0), as of {newest}; made by tests/lab/ports.py")
    for port, by_transport in sorted(names.items()):
        groups = {}
        for transport in TRANSPORTS:
            if transport in by_transport:
                groups.setdefault(by_transport[transport], []).append(transport)
        print(port, *(f"{'+'.join(transports)} {name}" for name, transports in groups.items()), sep="\t")


if __name__ == "__main__":
    main()
