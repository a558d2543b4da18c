"""Fabrics and jobs of `make`, as fixtures."""

from collections.abc import Callable

import pytest

from tests.solvers.ranks.make import grid_job, make_fabric, random_job
from topoplan.model.fabric import Fabric
from topoplan.model.traffic import Traffic

Fabrics = Callable[..., Fabric]
Jobs = Callable[..., Traffic]


@pytest.fixture(scope="session")
def fabrics() -> Fabrics:
    """Maker of fabrics."""
    return make_fabric


@pytest.fixture(scope="session")
def random_jobs() -> Jobs:
    """Maker of jobs of random flows."""
    return random_job


@pytest.fixture(scope="session")
def grid_jobs() -> Jobs:
    """Maker of jobs with the structure of training."""
    return grid_job
