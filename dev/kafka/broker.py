"""Apache Kafka on this machine without Docker: `python dev/kafka/broker.py up [--port 9092] [--data DIR]`, or `fetch`.

Runs one broker in the foreground until Ctrl-C. Its data stays in .kafka/data, so the second start is quick.
Needs java and mvn; without them it says how to do the same with Docker.
"""

import argparse
import signal
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file, not as a module: the project's root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from dev.kafka import jars
from dev.kafka.server import Address, Server

USE_DOCKER = "Use Docker in its place: `docker compose up -d kafka` brings the same broker up on port 9092."


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Apache Kafka from its jars, for trying out and for tests")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run a broker in the foreground")
    up.add_argument("--port", type=int, default=9092)
    up.add_argument("--controller-port", type=int, default=0, help="by default the port after --port")
    up.add_argument("--data", type=Path, default=jars.ROOT / ".kafka" / "data")
    commands.add_parser("fetch", help="only fetch the jars")
    args = parser.parse_args(argv)
    try:
        jars.fetch()
    except jars.Missing as error:
        print(f"Apache Kafka cannot run here: {error}. {USE_DOCKER}", file=sys.stderr)
        return 1
    if args.command == "fetch":
        return 0
    return _up(Address(1, args.port, args.controller_port or args.port + 1), args.data)


def _up(address: Address, data: Path) -> int:
    server = Server(address, data.resolve(), [address])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        server.format()
        server.start()
        server.wait_listening()
        print(f"Apache Kafka listens on {address.bootstrap} (data in {data}); Ctrl-C stops it", flush=True)
        assert server.process is not None
        return server.process.wait()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if server.process is not None:
            server.signal(signal.SIGTERM)
            server.process.wait()
        return 0


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
