"""A Slurm of one node on this machine: Debian's programs with their own key, ports and state, for the user who runs it.

Started as ``python slurm.py``; prints as JSON where it is, then serves until its standard input is closed. Where Slurm
is missing and this user may install it, it is installed.

A test calls the programs in ``bin`` with ``SLURM_CONF`` set to ``conf``. There are the partitions ``main``, which is
the default, and ``short``, whose jobs have a minute; the node called ``node`` has ``cpus`` processors, ``memory`` MB,
four lamps (``--gres=lamp:1``) and two graphics cards that are none.

``pids`` is a folder with the number of each daemon's process in a file; one that is killed is started again at once.
``scontrol update nodename=... state=down reason=...`` loses the jobs of the node, which comes back when it is heard of:
at once, or when ``slurmd`` goes on that was stopped by a signal before.
"""

import contextlib
import ctypes
import json
import os
import pwd
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from installing import alone
from ssh import debian

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/usr/bin"
NODE, CPUS, MEMORY = "lazytrack", 16, 8000
PR_SET_CHILD_SUBREAPER = 36

CONFIGURATION = """\
ClusterName=lazytrack
SlurmctldHost={host}({address})
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters={listening}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/pids/slurmctld
SlurmdPidFile={folder}/pids/slurmd
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# Processes are followed by their parents, and their memory is counted by looking.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
PropagateResourceLimits=NONE
# A job starts when it can, ends when it must, and is remembered.
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1,default_queue_depth=2000
MaxArraySize=1001
MinJobAge=600
JobRequeue=0
EnforcePartLimits=ALL
OverTimeLimit=0
KillWait=2
CompleteWait=0
# The machine is busy with other tests, so silence alone is no sign of a lost node.
MessageTimeout=30
SlurmdTimeout=300
ReturnToService=2
# The processors need not be there.
SlurmdParameters=config_overrides
GresTypes=gpu,lamp
NodeName={node} NodeHostname={host} NodeAddr={address} CPUs={cpus} RealMemory={memory} Gres=gpu:2,lamp:4 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU={share} State=UP
PartitionName=short Nodes=ALL MaxTime=1 DefMemPerCPU={share} State=UP
"""

RESOURCES = """\
AutoDetect=off
Name=lamp Count=4
Name=gpu File=/dev/null
Name=gpu File=/dev/zero
"""


def install():
    """Return the path of each program."""
    with alone("slurm"):
        if not all(find(name) for name in PROGRAMS):
            debian("slurmctld", "slurmd", "slurm-client", "munge")
    return {name: find(name) for name in PROGRAMS}


def find(name):
    return shutil.which(name, path=SEARCHED)


def free_port():
    """Return one that no connection of another process is given by chance, as it may be needed again."""
    while True:
        with socket.socket() as listener, contextlib.suppress(OSError):
            port = random.randrange(10_000, 32_000)
            listener.bind(("127.0.0.1", port))
            return port


def addresses():
    """Return the name of this machine, the address to reach the daemons at, and where they listen.

    They can listen at the address of that name or at all; only the key is between them and others in the latter case.
    """
    host = socket.gethostname().partition(".")[0]
    with contextlib.suppress(OSError):
        if (address := socket.gethostbyname(host)).startswith("127."):
            return host, address, "NoInAddrAny,NoCtldInAddrAny"
    return host, "127.0.0.1", "EnableIPv4"


class Cluster:
    """What is in a folder, and the processes that serve it."""

    def __init__(self, programs, folder):
        said = subprocess.run([programs["slurmctld"], "-V"], capture_output=True, text=True, check=True).stdout
        version = said.split()[-1]
        self.folder, self.programs = folder, programs
        self.configuration = folder / "slurm.conf"
        for name in ("state", "spool", "pids"):
            (folder / name).mkdir()
        (folder / "munge").mkdir(mode=0o711)
        folder.chmod(0o755)  # munged wants others to reach its socket
        key = folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        self.port, of_node = free_port(), free_port()
        host, address, listening = addresses()
        self.configuration.write_text(
            CONFIGURATION.format(
                host=host,
                address=address,
                listening=listening,
                ports=(self.port, of_node),
                user=pwd.getpwuid(os.geteuid()).pw_name,
                folder=folder,
                node=NODE,
                cpus=CPUS,
                memory=MEMORY,
                share=MEMORY // CPUS,
            )
        )
        (folder / "gres.conf").write_text(RESOURCES)
        # Control groups are the system's. Older versions cannot leave them alone, but one way asks for nothing.
        (folder / "cgroup.conf").write_text(f"CgroupPlugin={'disabled' if version >= '23.02' else 'cgroup/v1'}\n")
        # A daemon by itself would look at what is in /etc.
        self.environment = {**os.environ, "SLURM_CONF": str(self.configuration)}
        munge = folder / "munge"
        self.arguments = {
            "munged": [
                *("--foreground", "--force", "--origin=127.0.0.1", f"--socket={munge / 'socket'}"),
                *(f"--{what}-file={munge / what}" for what in ("key", "log", "seed")),
                f"--pid-file={folder / 'pids' / 'munged'}",
            ],
            "slurmctld": ["-D"],
            "slurmd": ["-D", "-N", NODE],
        }
        self.running = {}

    def start(self):
        self.keep("munged")
        self.wait_until((self.folder / "munge" / "socket").exists)
        self.keep("slurmctld")
        self.keep("slurmd")
        self.wait_until(self.is_idle)

    def keep(self, *names):
        """Start those of the daemons that do not run."""
        for name in names:
            if name not in self.running or self.running[name].poll() is not None:
                nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
                command = [self.programs[name], *self.arguments[name]]
                self.running[name] = subprocess.Popen(command, env=self.environment, cwd=self.folder, **nowhere)

    def is_idle(self):
        command = [Path(self.programs["sbatch"]).with_name("sinfo"), "--noheader", "--format=%T"]
        said = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return set(said.stdout.split()) == {"idle"}

    def wait_until(self, happened):
        end = time.monotonic() + 60
        while not happened():
            if time.monotonic() > end:
                logs = [log.read_text()[-2000:] for log in self.folder.rglob("*log") if log.is_file()]
                raise SystemExit("\n".join(["Slurm did not start", *logs]))
            time.sleep(0.05)


def bury():
    """Forget the processes that have ended, and return whether there are others."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def descendants():
    """Return the processes that this one and its children have started."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [os.getpid()]
    for process in found:
        found += children.get(process, [])
    return found[1:]


def main():
    programs = install()
    # Whatever a daemon or a job leaves behind becomes a child of this process, so that nothing can outlive it.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="lazytrack-slurm-", ignore_cleanup_errors=True) as name:
        cluster = Cluster(programs, Path(name))
        try:
            cluster.start()
            where = {"port": cluster.port, "conf": str(cluster.configuration), "pids": f"{name}/pids"}
            where["bin"] = str(Path(programs["sbatch"]).parent)
            print(json.dumps({**where, "node": NODE, "cpus": CPUS, "memory": MEMORY}), flush=True)
            while not select.select([sys.stdin], [], [], 0.1)[0]:
                bury()
                cluster.keep(*cluster.arguments)
        finally:
            while bury():
                for process in descendants():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                time.sleep(0.01)


if __name__ == "__main__":
    main()
