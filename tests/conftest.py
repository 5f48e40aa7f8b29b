"""What all tests share: where nothing may be left out, a skipped test fails the run."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from lazytrack import naming

SERVERS = Path(__file__).parent / "servers"

# The keys of the user who runs the tests are none of their business; the processes that tests start inherit this one.
os.environ["LAZYTRACK_SIGNING_KEY"] = "only-for-the-tests-of-lazytrack"
# Most tests count files; those of where results come from turn it on.
os.environ["LAZYTRACK_PROVENANCE"] = "0"


def pytest_xdist_auto_num_workers():
    """Return how many processes run tests: two for each processor, as tests wait about as much as they compute."""
    return 2 * (os.cpu_count() or 1)


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("LAZYTRACK_NO_SKIPS") and reporter and (skipped := reporter.stats.get("skipped")):
        names = ", ".join(sorted({report.nodeid for report in skipped}))
        reporter.write_line(f"LAZYTRACK_NO_SKIPS is set, and these were skipped: {names}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# --- where a store can be: each kind is a folder that nobody has used yet, and the options to open it with ---

BETWEEN_PROCESSES = ["local", "s3", "gcs", "azure", "sftp"]
"""Kinds that processes share."""
KINDS = ["memory", *BETWEEN_PROCESSES]
"""Each is a fixture. A further kind is one more."""


@pytest.fixture(params=KINDS)
def place(request):
    """Where to open a store, on each kind of filesystem in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def local(tmp_path):
    return str(tmp_path / "store"), {}


@pytest.fixture(autouse=True)
def forgotten_memory():
    """Forget what is stored in memory after each test: all of it is gone through whenever some of it is listed."""
    yield
    MemoryFileSystem.store.clear()
    del MemoryFileSystem.pseudo_dirs[1:]


@pytest.fixture
def memory():
    return f"memory://{naming.unique()}/store", {}


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(params=["http", "zip"])
def read_only_place(request, tmp_path):
    """Return what makes a local folder readable elsewhere: it returns the URL and the options to open it with."""
    servers = []

    def over_http(folder):
        handler = functools.partial(QuietHandler, directory=folder.parent)
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/{folder.name}", {}

    def in_an_archive(folder):
        archive = shutil.make_archive(str(tmp_path / naming.unique()), "zip", folder.parent, folder.name)
        return f"zip://{folder.name}", {"fo": archive}

    yield over_http if request.param == "http" else in_an_archive
    for server in servers:
        server.shutdown()
        server.server_close()


# --- servers: each is started once for a session, on this machine alone, and stopped with it ---


class Server:
    """A program of `tests/servers` as a process of its own."""

    def __init__(self, program):
        self._process = subprocess.Popen(
            [sys.executable, SERVERS / program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        said = json.loads(self._process.stdout.readline() or "null")
        if said is None:
            pytest.skip(f"{program} cannot be started or installed here")
        self.said = said if isinstance(said, dict) else {"port": said}
        self.port = self.said["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def requests(self):
        """Return what was asked since the last time: method and path with query of each request."""
        with urllib.request.urlopen(f"{self.url}/_requests") as answer:
            return [tuple(request) for request in json.load(answer)]

    def stop(self):
        self._process.communicate()


@pytest.fixture(scope="session")
def s3_server():
    server = Server("s3.py")
    os.environ |= {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/bucket", method="PUT")).close()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server):
    return f"s3://bucket/{naming.unique()}/store", {"endpoint_url": s3_server.url}


@pytest.fixture(scope="session")
def gcs_server():
    server = Server("gcs.py")
    yield server
    server.stop()


@pytest.fixture
def gcs(gcs_server):
    return f"gs://bucket/{naming.unique()}/store", {"endpoint_url": gcs_server.url, "token": "anon", "project": "tests"}


@pytest.fixture(scope="session")
def ssh_server():
    server = Server("ssh.py")
    yield server
    server.stop()


@pytest.fixture
def sftp(ssh_server, tmp_path):
    user, key = ssh_server.said["user"], ssh_server.said["key"]
    options = {"key_filename": key, "look_for_keys": False, "allow_agent": False}
    return f"sftp://{user}@127.0.0.1:{ssh_server.port}{tmp_path}/store", options


@pytest.fixture(scope="session")
def azure_server():
    server = Server("azure.py")
    # The account and key are those that every Azurite has.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    server.connection = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};"
        f"BlobEndpoint={server.url}/devstoreaccount1;"
    )
    from azure.storage.blob import BlobServiceClient  # noqa: PLC0415  (only those who test it need it)

    with BlobServiceClient.from_connection_string(server.connection) as client:
        client.create_container("container")
    yield server
    server.stop()


@pytest.fixture
def azure(azure_server):
    return f"abfs://container/{naming.unique()}/store", {"connection_string": azure_server.connection}


@pytest.fixture(scope="session")
def dask_server():
    server = Server("dask_cluster.py")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def slurm_server():
    server = Server("slurm.py")
    yield server
    server.stop()


@pytest.fixture
def slurm(slurm_server, monkeypatch):
    """Have the commands of Slurm reach the one that runs here."""
    monkeypatch.setenv("SLURM_CONF", slurm_server.said["conf"])
    monkeypatch.setenv("PATH", f"{slurm_server.said['bin']}{os.pathsep}{os.environ['PATH']}")
    return slurm_server


@pytest.fixture
def dask_cluster(dask_server):
    return f"dask://127.0.0.1:{dask_server.port}"
