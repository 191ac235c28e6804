"""Fixtures of more than one folder of tests."""

import signal
from collections.abc import Iterator

import pytest

from tests.broker import Cluster, drop_topics, fresh_topics, require_kafka


def pytest_configure() -> None:
    """A shell starts what runs in its background with Ctrl-C ignored, and so would the programs be that tests interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need Kafka stay on one worker, those of tests/chaos, which mostly wait, on another: a broker each.

    On more of them they would disturb each other's clocks.
    """
    for item in items:
        if item.path.parent.name == "chaos":
            item.add_marker(pytest.mark.xdist_group("chaos"))
        elif item.get_closest_marker("kafka") is not None:
            item.add_marker(pytest.mark.xdist_group("kafka"))


@pytest.fixture(scope="session")
def kafka() -> Iterator[Cluster]:
    """One broker for the whole run (with xdist: one per worker, started when the first test needs it)."""
    require_kafka()
    with Cluster(1) as cluster:
        yield cluster


@pytest.fixture
def bootstrap(kafka: Cluster) -> str:
    """The broker's address, with our five topics made anew: 4 partitions each."""
    fresh_topics(kafka.bootstrap)
    return kafka.bootstrap


@pytest.fixture
def broker(kafka: Cluster) -> str:
    """The broker's address; it has no topics of ours, so that the first node makes them as declared."""
    drop_topics(kafka.bootstrap)
    return kafka.bootstrap
