"""Things kept in memory up to a number of bytes: beyond it, the oldest go. What is not here any more is read or made again."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Kept(Generic[K, T]):
    """Things by key. most_bytes: of all together, as whoever adds them counts."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._things: dict[K, tuple[T, int]] = {}

    def __len__(self) -> int:
        return len(self._things)

    def add(self, key: K, thing: T, size_bytes: int) -> None:
        """Keep a thing, as the newest, in place of the one under its key."""
        self.take(key)
        self._things[key] = thing, size_bytes
        self._size_bytes += size_bytes
        while self._size_bytes > self._most_bytes:
            self.take(next(iter(self._things)))

    def take(self, key: K) -> T | None:
        """The thing, not kept any longer; None when it is not here."""
        found = self._things.pop(key, None)
        if found is None:
            return None
        thing, size_bytes = found
        self._size_bytes -= size_bytes
        return thing
