"""An Azure blob storage on this machine: Azurite, which is installed beside this file where it is missing.

Started as ``python azure.py``; prints its port, then serves until its standard input is closed.
"""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from installing import PATIENCE, alone

HERE = Path(__file__).parent / ".azurite"
DONE = HERE / "installed"
PROGRAM = HERE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def install():
    with alone("azurite"):
        if not DONE.exists():
            HERE.mkdir(exist_ok=True)
            command = [shutil.which("npm"), "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(HERE)]
            subprocess.run([*command, "azurite"], check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
            DONE.touch()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main():
    install()
    port = free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent", "--skipApiVersionCheck"]
    server = subprocess.Popen(
        [shutil.which("node"), PROGRAM, *options, "--disableTelemetry", "--inMemoryPersistence"],
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        for _ in range(400):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise SystemExit("Azurite did not start")
        print(port, flush=True)
        sys.stdin.read()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
