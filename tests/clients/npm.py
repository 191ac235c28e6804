"""The official JavaScript client, installed by npm beside this checkout when it is not there yet."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
DIRECTORY: Final = ROOT / ".node"
INSTALL_S: Final = 120.0


def require() -> Path:
    """Where the client and our script for it are. Skips the test where there is no node or no client to be had; fails in
    continuous integration."""
    reason = _problem()
    if reason is None:
        return DIRECTORY
    if os.environ.get("CI") == "true":
        pytest.fail(f"the JavaScript client cannot run here: {reason}")
    pytest.skip(f"the JavaScript client cannot run here: {reason}")


def _problem() -> str | None:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    wanted = (HERE / "package.json").read_text()
    installed = DIRECTORY / "installed.json"
    if not installed.exists() or installed.read_text() != wanted:
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        DIRECTORY.mkdir()
        (DIRECTORY / "package.json").write_text(wanted)
        # Exact versions stand in package.json; a lock file would name the addresses of one registry.
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        done = subprocess.run(command, cwd=DIRECTORY, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode != 0:
            return f"npm: {done.stderr.strip()[-500:]}"
        installed.write_text(wanted)
    shutil.copy(HERE / "tail.mjs", DIRECTORY)
    return None
