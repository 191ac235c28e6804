"""Sessions live where Java's own producer would put them."""

import pytest

from chatstream.core.partitioner import murmur2, partition_of

# From org.apache.kafka.common.utils.UtilsTest, testMurmur2.
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), VECTORS.items())
def test_keys_hash_as_in_java(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@pytest.mark.parametrize(("key", "signed"), VECTORS.items())
@pytest.mark.parametrize("partitions", [1, 3, 16, 100])
def test_a_partition_is_the_hash_without_its_sign_modulo_their_number(key: bytes, signed: int, partitions: int) -> None:
    assert partition_of(key, partitions) == (signed & 0x7FFFFFFF) % partitions


def test_every_length_of_key_has_a_partition() -> None:
    assert {partition_of(b"x" * length, 16) for length in range(200)} <= set(range(16))
