"""An SSH server on this machine, with SFTP: OpenSSH with throw-away keys, for the user who runs it.

Started as ``python ssh.py``; prints its port and the file of a key that it lets in, as JSON, then serves until its
standard input is closed. Where OpenSSH is missing and this user may install it, it is installed.
"""

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from installing import PATIENCE, alone


def install():
    """Return the path of sshd."""
    with alone("sshd"):
        if (where := find()) is None:
            for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "openssh-server"]):
                subprocess.run(
                    command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE
                )
            where = find()
    return where


def find():
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def await_answer(port):
    for _ in range(200):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("sshd did not start")


def main():
    sshd = install()
    Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder)
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)]
            subprocess.run(command, check=True)
        port = free_port()
        (keys / "config").write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {keys / 'host'}\nPidFile none\n"
            f"AuthorizedKeysFile {keys / 'user.pub'}\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
            "UsePAM no\nStrictModes no\nSubsystem sftp internal-sftp\nMaxStartups 100\nMaxSessions 100\n"
        )
        server = subprocess.Popen([sshd, "-D", "-f", str(keys / "config")], stderr=subprocess.DEVNULL)
        try:
            await_answer(port)
            print(json.dumps({"port": port, "key": str(keys / "user"), "user": getpass.getuser()}), flush=True)
            sys.stdin.read()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
