"""The cluster of the tests of faults. It is down again before the suite's own one comes up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.faults.cluster import Nodes


@pytest.fixture(scope="package")
def cluster() -> "Iterator[Nodes]":
    from tests.faults.cluster import three_nodes

    with three_nodes() as nodes:
        yield nodes


@pytest.fixture
def nodes(cluster: "Nodes") -> "Nodes":
    """Three nodes, whatever the test before has done to them."""
    cluster.restore()
    return cluster
