"""Which partition a session lives in: Kafka's own murmur2 partitioner, as Java and the console tools hash."""

from functools import lru_cache
from typing import Final

from chatstream.core.ids import PartitionNo

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of org.apache.kafka.common.utils.Utils, unsigned."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole != length:
        h = ((h ^ int.from_bytes(data[whole:], "little")) * _M) & _MASK
    h = ((h ^ h >> 13) * _M) & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=16_384)  # asked several times for each message; session ids are at most 200 bytes
def partition_of(key: bytes, partitions: int) -> PartitionNo:
    """The partition, 0 to partitions - 1, that a keyed record belongs to."""
    return PartitionNo((murmur2(key) & 0x7FFFFFFF) % partitions)
