"""Fixtures of the tests with real processes."""

import pytest

from tests.broker import Cluster, drop_topics


@pytest.fixture
def broker(kafka: Cluster) -> str:
    """The broker's address; it has no topics of ours, so that the first node makes them as declared."""
    drop_topics(kafka.bootstrap)
    return kafka.bootstrap
