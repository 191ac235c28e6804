"""Brings the browser's libraries into chatstream/web/static/vendor: `python dev/vendor.py` after a change of versions.json.

Each is taken from its npm package as published. Two things are changed, because a browser must be able to load the files as
they lie there: a bare import is given a path, and the link to a source map that is not shipped is cut.
"""

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

VENDOR: Final = Path(__file__).resolve().parent.parent / "chatstream" / "web" / "static" / "vendor"
VERSIONS: Final = VENDOR / "versions.json"
IMPORTS: Final = {'from"preact"': 'from"./preact.js"'}
SOURCE_MAP: Final = "//# sourceMappingURL="


def main() -> None:
    """Fetch, change, write, and note what was written."""
    libraries: list[dict[str, Any]] = json.loads(VERSIONS.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        for library in libraries:
            package = _unpacked(f"{library['package']}@{library['version']}", Path(scratch))
            for file in library["files"]:
                body = _fit_for_a_browser((package / file["from"]).read_text())
                (VENDOR / file["file"]).write_text(body)
                file["sha256"] = hashlib.sha256(body.encode()).hexdigest()
            (VENDOR / library["licence_file"]).write_text((package / library["licence_from"]).read_text())
    VERSIONS.write_text(json.dumps(libraries, indent=2) + "\n")
    print(f"{len(libraries)} libraries in {VENDOR}")


def _unpacked(spec: str, scratch: Path) -> Path:
    packed = subprocess.run(
        ["npm", "pack", "--silent", spec], cwd=scratch, check=True, capture_output=True, text=True
    ).stdout.split()
    place = scratch / packed[-1].removesuffix(".tgz")
    with tarfile.open(scratch / packed[-1]) as archive:
        archive.extractall(place, filter="data")
    return place / "package"


def _fit_for_a_browser(text: str) -> str:
    for bare, path in IMPORTS.items():
        text = text.replace(bare, path)
    return "\n".join(line for line in text.splitlines() if not line.startswith(SOURCE_MAP)) + "\n"


if __name__ == "__main__":
    main()
