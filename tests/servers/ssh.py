"""An SSH server on this machine, with SFTP: OpenSSH with throw-away keys, for the user who runs it.

Started as ``python ssh.py``; prints its port, the file of a key that it lets in, and the files by which OpenSSH's
client knows it, as JSON, then serves until its standard input is closed: ``ssh -F config lazytrack-test command`` asks
nothing. Where OpenSSH is missing and this user may install it, it is installed.
"""

import contextlib
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

NAME = "lazytrack-test"
"""What the client's configuration calls it."""


def install():
    """Return the path of sshd."""
    with alone("sshd"):
        if find("sshd") is None or find("ssh") is None:
            debian("openssh-server", "openssh-client")
    return find("sshd")


def find(name):
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def debian(*packages):
    """Install packages of the system, as root."""
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not all(map(shutil.which, ("apt-get", *rights[:1]))):
        raise SystemExit(f"{' '.join(packages)}: missing, and cannot be installed here")
    # On this level none of their services is started, where there is no systemd.
    settings = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    for what in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        command = [*rights, *settings, "apt-get", "-qq", *what]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")


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
    with contextlib.suppress(PermissionError):  # only root's needs it
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
        key, known = keys / "user", keys / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {(keys / 'host.pub').read_text()}")
        (keys / "client").write_text(
            f"Host {NAME}\nHostName 127.0.0.1\nPort {port}\nUser {getpass.getuser()}\nIdentityFile {key}\n"
            f"IdentitiesOnly yes\nIdentityAgent none\nBatchMode yes\nLogLevel ERROR\nStrictHostKeyChecking yes\n"
            f"UserKnownHostsFile {known}\nGlobalKnownHostsFile none\n"
        )
        server = subprocess.Popen([sshd, "-D", "-f", str(keys / "config")], stderr=subprocess.DEVNULL)
        try:
            await_answer(port)
            where = {"port": port, "key": str(key), "user": getpass.getuser()}
            where |= {"host": NAME, "config": str(keys / "client"), "known_hosts": str(known)}
            print(json.dumps(where), flush=True)
            sys.stdin.read()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
