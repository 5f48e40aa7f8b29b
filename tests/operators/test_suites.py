"""The published suite over every operator that is built in, each on its real engine."""

import sys

import pytest

from lazytrack.step_operators.dask import DaskStepOperator, DaskStepOperatorConfig
from lazytrack.step_operators.local import SubprocessStepOperator, SubprocessStepOperatorConfig
from lazytrack.step_operators.slurm import SlurmStepOperator, SlurmStepOperatorConfig
from lazytrack.step_operators.ssh import SSHStepOperator, SSHStepOperatorConfig
from lazytrack.testing import JobOperatorTests

pytestmark = pytest.mark.slow


class TestSubprocess(JobOperatorTests):
    @pytest.fixture
    def operator(self):
        return SubprocessStepOperator(name="processes here", config=SubprocessStepOperatorConfig(at_once=4))


@pytest.fixture(scope="module")
def cluster(dask_server):
    operator = DaskStepOperator(name="cluster", config=DaskStepOperatorConfig(address=dask_server.said["address"]))
    yield operator
    for client in operator._connected.values():
        client.close()


class TestDask(JobOperatorTests):
    @pytest.fixture
    def operator(self, cluster):
        return cluster


class TestSlurm(JobOperatorTests):
    @pytest.fixture
    def operator(self, slurm, tmp_path):
        return SlurmStepOperator(name="batch", config=SlurmStepOperatorConfig(folder=str(tmp_path / "shared")))


class TestSSH(JobOperatorTests):
    @pytest.fixture
    def operator(self, ssh_server):
        config = SSHStepOperatorConfig(
            host=ssh_server.said["host"], python=sys.executable, options=("-F", ssh_server.said["config"]), at_once=4
        )
        return SSHStepOperator(name="far away", config=config)
