"""What is recorded of the machine, the environment and the checkout that a result comes from.

A field is None where it is not known. A record made without arguments captures the present; one that is decoded
captures nothing, see `lazytrack.provenance.record`.
"""

from pathlib import Path
from typing import ClassVar

import attrs

from lazytrack.provenance.record import PRESENT, Record


@attrs.frozen(kw_only=True)
class Accelerator(Record):
    """One device that computes beside the processor.

    Parameters
    ----------
    name
        Of the model.
    memory
        In bytes.
    driver
        The driver's version.
    """

    name: str | None = None
    memory: int | None = None
    driver: str | None = None


@attrs.frozen(kw_only=True)
class PlatformMetadata(Record):
    """A machine.

    Parameters
    ----------
    operating_system
        Its name and version.
    cpu_count
        Logical processors of the machine.
    user
        The login of who ran it.
    host
        The name of the machine.
    machine
        The kind of processor, such as ``x86_64``.
    cpu_model
        The processor's name.
    usable_cpus
        How many of them the process may use, by its affinity and its control group.
    memory
        Of the machine, in bytes.
    usable_memory
        How much of it the process's control group may use, in bytes.
    accelerators
        As their drivers' programs list them; None where there is no such program, or it fails.
    container
        What the process is contained in, such as ``docker`` or ``kubernetes``; None where nothing tells.
    job
        The batch system's name and its number for the job, such as ``slurm 4711``.
    """

    probes: ClassVar[str] = "platform"

    operating_system: str | None = PRESENT
    cpu_count: int | None = PRESENT
    user: str | None = PRESENT
    host: str | None = PRESENT
    machine: str | None = PRESENT
    cpu_model: str | None = PRESENT
    usable_cpus: float | None = PRESENT
    memory: int | None = PRESENT
    usable_memory: int | None = PRESENT
    accelerators: list[Accelerator] | None = PRESENT
    container: str | None = PRESENT
    job: str | None = PRESENT


@attrs.frozen(kw_only=True)
class GitMetadata(Record):
    """The state of the git checkout that a process runs from: of its program, or else of its working folder.

    Where one field is given, the others are not captured: they may be of another.

    Parameters
    ----------
    commit
        That is checked out; None before the first one.
    remote
        The URL that the branch is pulled from, without credentials.
    branch
        None where no branch is checked out.
    dirty
        Whether anything differs from the commit, new files included that git does not ignore. A store of lazytrack
        that lies in the checkout does not count.
    folder
        The working folder of the process, relative to the checkout's top: ``.`` at the top. It begins with ``..`` where
        a program of the checkout was run from elsewhere.
    diff_digest
        SHA-256 of what differs, in hexadecimal: the same for the same changes to the same commit. None where
        nothing does.
    program
        The file that was run, relative to the checkout's top; None where no file of the checkout was, as for a module
        that is named by ``-m``, a notebook, or a program that was installed.
    submodules
        The commit that is checked out in each submodule whose files are there, by its path; None where there are none.
    """

    probes: ClassVar[str] = "git"
    alone: ClassVar[bool] = True

    commit: str | None = PRESENT
    remote: str | None = PRESENT
    branch: str | None = PRESENT
    dirty: bool | None = PRESENT
    folder: str | None = PRESENT
    diff_digest: str | None = PRESENT
    program: str | None = PRESENT
    submodules: dict[str, str] | None = PRESENT


SUBMODULE = "submodule"


@attrs.frozen(kw_only=True)
class LeftOut(Record):
    """A file that is not in a patch of what is uncommitted; or what is no file, a repository of its own.

    Parameters
    ----------
    path
        Relative to the checkout's top.
    size
        In bytes, as it is now; None where it is gone or no file.
    digest
        SHA-256 of it in hexadecimal, of a submodule that of what differs in it; None where it is not known, as of a
        file that is too large to read.
    kind
        `SUBMODULE` of a submodule in which something is not committed; None of anything else. The path of any other
        repository ends with a slash.
    """

    path: str
    size: int | None = None
    digest: str | None = None
    kind: str | None = None


@attrs.frozen(kw_only=True)
class LazytrackMetadata(Record):
    """The lazytrack that wrote a record.

    Parameters
    ----------
    version
        As it is installed.
    """

    probes: ClassVar[str] = "environment"

    version: str | None = PRESENT


@attrs.frozen(kw_only=True)
class LockFile(Record):
    """A file that says which packages to install.

    Parameters
    ----------
    name
        Its path, relative to the root.
    size
        In bytes.
    sha256
        Of the file as it is, in hexadecimal.
    text
        What is in it, without secrets; None where that is long, or no text.
    """

    name: str
    size: int
    sha256: str
    text: str | None = None


CONDA = "conda"


@attrs.frozen(kw_only=True)
class EnvironmentMetadata(Record):
    """What a process runs with.

    Parameters
    ----------
    python
        Its version.
    executable
        The interpreter.
    command
        The process's command line as a shell takes it, without secrets.
    root
        The top of the git checkout it runs from; elsewhere the working folder.
    packages
        Name and version of each that is installed, by normalised name.
    git
        The checkout; None outside of any.
    lazytrack
        The lazytrack that wrote this.
    sources
        Of each package that came from no index, where it did come from: a folder, an archive, a repository, or `CONDA`.
    conda
        Name, version and build of each package of the conda environment; None outside of any.
    lock_files
        Those in the folders from the working folder up to the root, or, where that lies elsewhere, from the program's.
    cuda
        The version that a loaded library was built for.
    blas
        Name and version of the linear algebra library that numpy was built with, if it is loaded.
    conda_urls
        What ``conda list --explicit`` says of the conda environment: where each package is from, in the order in which
        they can be installed, without credentials; None outside of any.
    """

    probes: ClassVar[str] = "environment"

    python: str | None = PRESENT
    executable: Path | None = PRESENT
    command: str | None = PRESENT
    root: Path | None = PRESENT
    packages: list[tuple[str, str]] | None = PRESENT
    git: GitMetadata | None = PRESENT
    lazytrack: LazytrackMetadata | None = PRESENT
    sources: dict[str, str] | None = PRESENT
    conda: list[tuple[str, str, str]] | None = PRESENT
    lock_files: list[LockFile] | None = PRESENT
    cuda: str | None = PRESENT
    blas: str | None = PRESENT
    conda_urls: list[str] | None = PRESENT
