"""`chatstream` with a clock that jumps: `JUMPING_CLOCK=FILE python -m tests.chaos.jumping_clock up …`.

FILE holds by how many nanoseconds the time of day is wrong, as eight bytes; it may change at any time. The clock for
durations stays right, as it does when a machine's time is set. Only Python's clock jumps, which is the one events are dated
by; librdkafka's is the machine's.
"""

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final

OFFSET: Final = struct.Struct("<q")


class JumpingClock:
    """Set from outside. path: the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jump(0.0)

    def jump(self, wrong_s: float) -> None:
        """From now on the time of day is wrong by so much."""
        content = OFFSET.pack(round(wrong_s * 1e9))
        if not self.path.exists():
            self.path.write_bytes(content)
        with self.path.open("r+b") as file:  # in place: it is mapped
            file.write(content)

    @property
    def env(self) -> dict[str, str]:
        """For the process whose clock it is."""
        return {"JUMPING_CLOCK": str(self.path)}


def main() -> None:
    """Put the clock in place before anybody has taken the right one, and be `chatstream`."""
    with open(os.environ["JUMPING_CLOCK"], "r+b") as file:
        view = mmap.mmap(file.fileno(), OFFSET.size, access=mmap.ACCESS_READ)
    right_ns = time.time_ns

    def time_ns() -> int:
        wrong: int = OFFSET.unpack(view[:])[0]
        return right_ns() + wrong

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    from chatstream.cli import main as chatstream

    chatstream()


if __name__ == "__main__":
    main()
