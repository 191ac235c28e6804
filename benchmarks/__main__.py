"""`python -m benchmarks [--quick] [NAME …]`: measure, and print one Markdown table. Nothing is asserted of a time."""

import argparse
import asyncio
import os
import platform

from benchmarks.measures import MEASURES
from benchmarks.rig import Row, broker


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


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}; all when none is given")
    parser.add_argument("--quick", action="store_true", help="a fifth of the work, for a look")
    given = parser.parse_args()
    unknown = set(given.names) - set(MEASURES)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    rows = asyncio.run(_measure(given.names or list(MEASURES), given.quick))
    print(f"\n{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n\n{_table(rows)}")


if __name__ == "__main__":
    main()
