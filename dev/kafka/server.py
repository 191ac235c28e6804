"""Broker processes: their settings, their start, and their sure end. Standard library only."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from dev.kafka import jars
from dev.ports import HOST, free_ports

CLUSTER_ID = "Y2hhdHN0cmVhbS1kZXYtMQ"
PR_SET_PDEATHSIG = 1
START_WAIT_S = 60.0
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Address:
    """Where one broker listens. number: its node.id, from 1."""

    number: int
    port: int
    controller_port: int

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"


@dataclass
class Server:
    """One broker in KRaft combined mode: its own controller as well.

    peers: all brokers of the cluster, this one among them. settings: Kafka's own names, over ours. quick_start: as in
    jars.java_command.
    """

    address: Address
    directory: Path
    peers: Sequence[Address]
    settings: Mapping[str, str] = field(default_factory=dict)
    quick_start: bool = True
    process: "subprocess.Popen[bytes] | None" = None

    def format(self) -> None:
        """Write the settings, and make the data directory unless it was made before."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}" for name, value in self._settings().items()]
        self._file.write_text("\n".join(lines) + "\n")
        if (self.directory / "data" / "meta.properties").exists():
            return
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        alone = ["--standalone"] if len(self.peers) == 1 else []
        command = jars.java_command(
            "kafka.tools.StorageTool", ["format", "--cluster-id", CLUSTER_ID, "--config", str(self._file), *alone]
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_WAIT_S)
        if done.returncode != 0:
            raise RuntimeError(f"kafka's storage tool failed:\n{done.stdout}{done.stderr}")

    def start(self, output: "IO[bytes] | None" = None) -> None:
        """Start the process. It dies with the thread that called this, whatever happens to it."""
        out = output or (self.directory / "broker.log").open("ab")
        try:
            self.process = subprocess.Popen(
                jars.java_command("kafka.Kafka", [str(self._file)], quick_start=self.quick_start),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=_die_with_parent,
                start_new_session=True,
            )
        finally:
            if output is None:
                out.close()

    def wait_listening(self, wait_s: float = START_WAIT_S) -> None:
        """Wait until it takes connections. Raises RuntimeError with the end of its log when it does not."""
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.address.port), timeout=1):
                return
            time.sleep(0.05)
        log = self.directory / "broker.log"
        tail = log.read_text(errors="replace")[-3000:] if log.exists() else ""
        raise RuntimeError(f"broker {self.address.number} does not listen on port {self.address.port}:\n{tail}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; no error when it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone. Repeatable."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()

    @property
    def _file(self) -> Path:
        return self.directory / "server.properties"

    def _settings(self) -> dict[str, str]:
        copies = min(3, len(self.peers))
        voters = ",".join(f"{peer.number}@{HOST}:{peer.controller_port}" for peer in self.peers)
        # --standalone makes a dynamic quorum of one, which needs bootstrap servers in place of a list of voters.
        quorum = "controller.quorum.bootstrap.servers" if len(self.peers) == 1 else "controller.quorum.voters"
        return {
            "process.roles": "broker,controller",
            "node.id": str(self.address.number),
            quorum: f"{HOST}:{self.address.controller_port}" if len(self.peers) == 1 else voters,
            "listeners": f"PLAINTEXT://{HOST}:{self.address.port},CONTROLLER://{HOST}:{self.address.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": str(copies),
            "min.insync.replicas": str(max(1, copies - 1)),
            "offsets.topic.replication.factor": str(copies),
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": str(copies),
            "transaction.state.log.min.isr": str(max(1, copies - 1)),
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": str(copies),
            "share.coordinator.state.topic.min.isr": str(max(1, copies - 1)),
            "share.coordinator.state.topic.num.partitions": "1",
            # The default of 3 s is for large groups that start together.
            "group.initial.rebalance.delay.ms": "0",
            "controlled.shutdown.enable": "true",
            "num.network.threads": "2",
            "num.io.threads": "4",
            **self.settings,
        }


def free_addresses(count: int) -> list[Address]:
    """Addresses on ports that are free now."""
    ports = free_ports(2 * count)
    return [Address(i + 1, ports[2 * i], ports[2 * i + 1]) for i in range(count)]


def _die_with_parent() -> None:
    # A test process that is killed with -9 runs no clean-up: the kernel does it.
    if hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:
            os._exit(1)
