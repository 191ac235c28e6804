"""python -m tests.fuzz TARGET [libFuzzer's own options]: see the package."""

import logging
import sys
import tempfile
from pathlib import Path

import atheris


def main() -> None:
    """Runs until something is wrong, or as its options say. An input that is wrong stands in the file that is named then."""
    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=["chatstream"]):
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import TARGETS
    name = sys.argv[1]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(name)):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([f"fuzz-{name}", corpus, *sys.argv[2:]], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
