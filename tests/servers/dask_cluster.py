"""A Dask scheduler with two workers of three threads, each a process, on 127.0.0.1.

Says its port on the standard output when the workers are there, and ends with its standard input.
"""

import json
import subprocess
import sys
import tempfile

from distributed import Client


def main() -> None:
    """Start them, and stop them when nobody needs them any more."""
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        scheduler = subprocess.Popen(
            [*run, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", f"{folder}/scheduler"],
            stderr=subprocess.DEVNULL,
        )
        workers = []
        try:
            with Client(scheduler_file=f"{folder}/scheduler", timeout=60) as client:
                address = client.scheduler.address
                command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--host", "127.0.0.1"]
                command += ["--nthreads", "3", "--no-dashboard", "--local-directory", folder, "--resources", "GPU=1"]
                workers = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
                client.wait_for_workers(2, timeout=60)
            print(json.dumps({"port": int(address.rpartition(":")[2]), "address": address}), flush=True)
            sys.stdin.read()
        finally:
            for process in (*workers, scheduler):
                process.kill()  # what they have started ends with them
            for process in (*workers, scheduler):
                process.wait()


main()
