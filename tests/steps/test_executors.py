"""Submitted steps on every executor, with real workers."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from lazytrack.testing import ExecutorTests, WorkerExecutorTests


class TestInline(ExecutorTests):
    @pytest.fixture
    def executor(self):
        return "inline"


class TestThreads(ExecutorTests):
    at_once = 6

    @pytest.fixture
    def executor(self):
        return "threads"


class TestOwnThreads(ExecutorTests):
    at_once = 6

    @pytest.fixture
    def executor(self):
        with ThreadPoolExecutor(6) as pool:
            yield pool


class TestProcesses(WorkerExecutorTests):
    at_once = 6

    @pytest.fixture
    def executor(self):
        return "processes:6"


class TestOwnProcesses(WorkerExecutorTests):
    at_once = 6
    survives = False

    @pytest.fixture
    def executor(self):
        with ProcessPoolExecutor(6, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield pool


class TestDask(WorkerExecutorTests):
    """At an address, where a scheduler and two workers are processes."""

    at_once = 6

    @pytest.fixture
    def executor(self, dask_cluster):
        return dask_cluster


class TestDaskClient(WorkerExecutorTests):
    at_once = 6

    @pytest.fixture
    def executor(self, dask_cluster):
        from distributed import Client  # noqa: PLC0415  (few tests need it)

        with Client(dask_cluster.replace("dask://", "tcp://"), set_as_default=False) as client:
            yield client
