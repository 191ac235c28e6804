"""Apache Kafka's jars, fetched once by Maven, and how to run a class of them. Standard library only."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIB = ROOT / ".kafka" / "lib"
JAVA_MIN = 17
MAVEN_WAIT_S = 300
"""54 MB from Maven Central: 11 s on a good line."""


class Missing(Exception):
    """Java, Maven or the jars are not to be had here; the message says which and what to do."""


def problem() -> str | None:
    """Why Kafka cannot run on this machine without Docker, None when it can."""
    java = shutil.which("java")
    if java is None:
        return f"java >= {JAVA_MIN} is not installed"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < JAVA_MIN:
        return f"java is older than {JAVA_MIN}: {said.splitlines()[0] if said else 'it does not run'}"
    if shutil.which("mvn") is None and not _fresh():
        return "mvn is not installed"
    return None


def fetch() -> Path:
    """The folder with the jars, filled when it is not yet. Raises Missing."""
    reason = problem()
    if reason is not None:
        raise Missing(reason)
    LIB.parent.mkdir(parents=True, exist_ok=True)
    with (LIB.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test workers start at once
        if not _fresh():
            _copy()
    return LIB


def java_command(
    main: str, args: Sequence[str], *, heap_mb: int = 512, level: str = "WARN", quick_start: bool = True
) -> list[str]:
    """The command that runs a class of the jars. The flags make the JVM small.

    quick_start: its better compiler is off, which a broker that runs for minutes under load wants on.
    """
    return [
        "java",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        *(["-XX:TieredStopAtLevel=1"] if quick_start else []),
        "-Xshare:auto",
        f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",
        f"-Dchatstream.kafka.level={level}",
        "-cp",
        f"{LIB}/*",
        main,
        *args,
    ]


def _mark() -> Path:
    return LIB / f"complete-{hashlib.sha256((HERE / 'pom.xml').read_bytes()).hexdigest()[:12]}"


def _fresh() -> bool:
    return _mark().exists()


def _copy() -> None:
    shutil.rmtree(LIB, ignore_errors=True)
    command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={LIB}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MAVEN_WAIT_S, env=os.environ)
    except subprocess.TimeoutExpired as error:
        raise Missing(f"mvn did not fetch Apache Kafka within {MAVEN_WAIT_S} s") from error
    if done.returncode != 0:
        raise Missing(f"mvn could not fetch Apache Kafka:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    _mark().touch()
