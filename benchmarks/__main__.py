"""`python -m benchmarks [--quick] [--out FILE] [NAME …]`: measure, and print one Markdown table. No time is asserted."""

import argparse
import asyncio
import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.measures import MEASURES
from benchmarks.rig import Row, broker
from dev.kafka import jars

LIBRARIES: Final = ("confluent-kafka", "rocksdict", "aiohttp", "msgspec", "uvloop")


async def _measure(names: list[str], quick: bool) -> list[Row]:
    rows: list[Row] = []
    with broker() as bootstrap:
        for name in names:
            print(f"measuring {name} …", flush=True)
            found = await MEASURES[name](bootstrap, quick)
            rows += found
            for row in found:
                print(f"  {row.what}: {row.value}", flush=True)
    return rows


def _table(rows: list[Row]) -> str:
    lines = ["| what | measured | floor, same run | aim |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.value} | {row.floor} | {row.aim} |" for row in rows]
    return "\n".join(lines)


def _machine() -> str:
    """What it was measured on, and how busy that was before."""
    model = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory_kib = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)])
    return (
        f"{os.cpu_count()} cores ({platform.machine()}, {model}), {memory_kib / 2**20:.0f} GiB, {platform.system()} "
        f"{platform.release()}; {versions}; Apache Kafka {_kafka()}. Load before: {os.getloadavg()[0]:.1f}."
    )


def _kafka() -> str:
    found = sorted(jars.LIB.glob("kafka-clients-*.jar"))
    return found[-1].stem.rpartition("-")[2] if found else "?"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _document(rows: list[Row], machine: str, took_s: float, quick: bool) -> str:
    how = "`make bench ARGS=--quick`, a fifth of the work" if quick else "`make bench`"
    return (
        f"# Measurements\n\n{datetime.now(UTC):%Y-%m-%d}, {how}, {took_s / 60:.0f} minutes. {machine}\n\n"
        "Node, broker and load share the cores. A floor is the same work without chatstream, measured in the same run; an aim "
        f"is what was set out for, and nothing fails when it is missed.\n\n{_table(rows)}\n"
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}; all when none is given")
    parser.add_argument("--quick", action="store_true", help="a fifth of the work, for a look")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table there too, with what it was measured on")
    given = parser.parse_args()
    unknown = set(given.names) - set(MEASURES)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    machine, start_s = _machine(), time.monotonic()
    rows = asyncio.run(_measure(given.names or list(MEASURES), given.quick))
    document = _document(rows, machine, time.monotonic() - start_s, given.quick)
    print(f"\n{document}")
    if given.out is not None:
        given.out.write_text(document)


if __name__ == "__main__":
    main()
