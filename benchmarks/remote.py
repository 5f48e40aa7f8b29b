"""What a store on S3 costs: requests, counted at the server, and the time of one large artifact and of many small."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import children
import stores
from clocks import Stopwatch, ratios
from figures import Figure, Result

from lazytrack import Project
from lazytrack.files import open_files

_SERVER = Path(__file__).parent.parent / "tests" / "servers" / "s3.py"
_LARGE = 256 * 2**20
_LATENCY = 0.05
"""Seconds before a server that is far away answers."""
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def server(latency: float = 0) -> Iterator[str]:
    """Start an S3 server on this machine with one bucket, and return its address."""
    os.environ |= _CREDENTIALS
    command = [sys.executable, _SERVER, str(latency)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    address = f"http://127.0.0.1:{int(process.stdout.readline())}"
    urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT")).close()
    try:
        yield address
    finally:
        process.communicate()


def seen(address: str) -> list[list[str]]:
    """Return the requests that came since the last time: method and path with query."""
    with urllib.request.urlopen(f"{address}/_requests") as answer:
        return json.load(answer)


# --- requests ---


def requests(work: Path) -> Result:
    """Count the requests of saving, opening, refreshing and claiming."""
    with server() as address:
        counts = _count(work, address)
    kinds = {
        "save": ("a process's second save", 1),
        "history": ("a save with 1,000 new points", 2),
        "artifacts": ("a save with 3 artifacts of a few bytes", 4),
        "open": ("opening, 10,000 experiments", None),
        "needless": ("of these, HEAD", 0),
        "beyond": ("of these, for anything but a pack or a loose file", 12),
        "refresh": ("refresh with nothing new", 2),
        "again": ("opening it once more, with cache=", None),
        "load": ("loading an artifact of a few bytes", None),
        "claim": ("claiming a name", 1),
    }
    return Result(
        how="Requests are counted by the server, moto's. The store of 10,000 experiments was grown on this disk, one "
        "save each, packed as writers do, and copied to the bucket; opening includes the first look-up.",
        figures=[
            Figure(what=what, values=[counts[key]], unit="requests", at_most=at_most)
            for key, (what, at_most) in kinds.items()
        ],
    )


def _count(work: Path, address: str) -> dict[str, int]:
    counts = {}
    options = {"endpoint_url": address}

    def count(name: str) -> list[list[str]]:
        found = seen(address)
        counts[name] = len(found)
        return found

    project = Project("s3://bucket/small", **options)
    project.log("first")
    project.save()
    seen(address)
    with project.log("second") as experiment:
        experiment.log_metric("auc", 1)
    project.save()
    count("save")
    for step in range(1000):
        experiment.log_metric("loss", 1.0, step=step)
    project.save()
    count("history")
    for number in range(3):
        experiment.log_artifact(f"report {number}", [number], "json")
    project.save()
    count("artifacts")
    reader = Project("s3://bucket/small", mode="r", **options)["second"]
    seen(address)
    reader.load_artifact("report 0")
    count("load")

    grown = stores.store(work, 10_000).path
    target = open_files("s3://bucket/large", **options)
    folder = grown.with_suffix("")
    files = [grown, *folder.glob("log/*.json"), *folder.glob("packs/*.json")]
    for file in files:
        name = "project.json" if file == grown else f"project/{file.relative_to(folder).as_posix()}"
        target.create(name, file.read_bytes())
    seen(address)
    large = Project("s3://bucket/large", mode="r", **options)
    if len(large) < 10_000:
        raise RuntimeError("not all experiments are there")
    found = count("open")
    counts["needless"] = sum(method == "HEAD" for method, _ in found)
    counts["beyond"] = sum(("/log/" not in path and "/packs/" not in path) or "?" in path for _, path in found)
    large.refresh()
    count("refresh")
    for name in ("to fill the cache", "again"):
        if len(Project("s3://bucket/large", mode="r", cache=work / "cache", **options)) < 10_000:
            raise RuntimeError("not all experiments are there")
        count(name)
    target.claim("claims/model/0.json", b"mine")
    count("claim")
    return counts


# --- many artifacts ---


def many_artifacts(_work: Path) -> Result:
    """Compare a save of 200 artifacts with one that sends them one after the other."""
    with server(_LATENCY) as address:
        rounds = [children.call("remote", "save_both", address=address, first=number % 2) for number in range(5)]
    return Result(
        how="200 JSON artifacts of 10 KB in one save, to moto's server on this machine, which waits "
        f"{_LATENCY * 1000:.0f} ms before it answers, as one far away does, and then answers one request at a time; "
        "in turns, in a fresh interpreter for each round.",
        figures=[
            Figure(
                what="as it is / one after the other, wall",
                values=ratios([r["together"] for r in rounds], [r["alone"] for r in rounds]),
                at_most=0.3,
            )
        ],
    )


def save_both(address: str, first: int) -> dict[str, Any]:
    """Save 200 artifacts as it is done and one after the other, and return the seconds of each."""
    from lazytrack.files.remote import S3Files

    os.environ |= _CREDENTIALS
    project = Project(f"s3://bucket/many-{first}-{os.getpid()}", endpoint_url=address)
    project.log("first").log_artifact("report", [0], "json")
    project.save()
    seconds = {}
    pieces = [("together", S3Files.together), ("alone", 1)]
    for name, together in pieces if first else pieces[::-1]:
        S3Files.together = together
        experiment = project.log(name)
        for number in range(200):
            experiment.log_artifact(f"report {number}", [name, number, "x" * 10_000], "json")
        watch = Stopwatch()
        with watch:
            project.save()
        seconds[name] = watch.wall
    return seconds


# --- a large artifact ---


def large_artifact(_work: Path) -> Result:
    """Compare saving an artifact of 256 MB with s3fs's own upload of the same bytes."""
    with server() as address:
        rounds = [children.call("remote", "put_both", address=address, first=number % 2) for number in range(7)]
    return Result(
        how="`log_artifact` of 256 MB of bytes by a handler that writes them, and `save`, beside `pipe_file` of s3fs, "
        "to moto's server on this machine, which answers one request at a time; in turns, in a fresh interpreter for "
        "each round. Memory is what the process held at most beyond the bytes themselves.",
        figures=[
            Figure(
                what="save / s3fs's own put, wall",
                values=ratios([r["save"] for r in rounds], [r["put"] for r in rounds]),
                at_most=1.3,
            ),
            Figure(
                what="memory beyond the bytes",
                values=[r["memory"] for r in rounds if r["memory"]],
                unit="MB",
                at_most=64,
            ),
        ],
    )


def put_both(address: str, first: int) -> dict[str, Any]:
    """Save 256 MB and put them by s3fs, and return the seconds of each."""
    import resource

    import attrs
    import s3fs

    from lazytrack.artifacts import Artifact

    os.environ |= _CREDENTIALS

    @attrs.define
    class Raw(Artifact):
        alias = "raw-bytes"
        suffix = "bin"
        binary = True

        @classmethod
        def read(cls, buf: Any, **_: Any) -> bytes:
            return buf.read()

        @classmethod
        def write(cls, obj: bytes, buf: Any, **_: Any) -> None:
            buf.write(obj)

    data = os.urandom(_LARGE)
    project = Project(f"s3://bucket/{first}-{os.getpid()}", endpoint_url=address)
    project.log("first").log_artifact("it", data[:100], "raw-bytes")
    project.save()
    fs = s3fs.S3FileSystem(endpoint_url=address, skip_instance_cache=True)
    fs.pipe_file(f"bucket/{os.getpid()}-small", data[:100])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def save() -> None:
        project.log("large").log_artifact("it", data, "raw-bytes")
        project.save()

    def put() -> None:
        fs.pipe_file(f"bucket/{os.getpid()}-large", data)

    seconds, memory = {}, None
    pieces = [("save", save), ("put", put)]
    for name, piece in pieces if first else pieces[::-1]:
        watch = Stopwatch()
        with watch:
            piece()
        seconds[name] = watch.wall
        if name == "save" and first:  # what the other one holds would count
            memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    return seconds | {"memory": memory}
