"""The exceptions lazytrack raises, one tree.

::

    LazytrackError
    ├── ReadOnlyError (AttributeError)                the object or project may not be changed
    ├── SaveError (OSError)                           something could not be written; it stays dirty
    ├── FormatError (ValueError)                      the file is no store of ours, or of a newer lazytrack
    ├── UnsafePathError (ValueError)                  a path would leave the store
    ├── RecordDeletedError (LookupError)              the record was deleted, for good
    ├── VersionNotFoundError (LookupError)            no version of an artifact fits what was asked for
    ├── InvalidVersionError (ValueError)              what was given as a version is none
    ├── StepInterfaceError (TypeError)                a step was declared or called in a way that cannot work
    ├── StepFailed (RuntimeError)                     a step raised what cannot be raised again here
    ├── WorkerLost (RuntimeError)                     the process that ran a step died
    ├── PipelineRunError (RuntimeError)               a run of a pipeline cannot be started or went wrong
    └── ArtifactError
        ├── ArtifactLogError (ValueError)             the artifact cannot be logged
        ├── ArtifactLoadError (ValueError)            the artifact cannot be read back
        └── UntrustedArtifactError (PermissionError)  reading it could run code of somebody who is not trusted

    StoreWarning (UserWarning)                        something in the store is damaged; see ``problems``

Each also derives from the builtin exception it refines, so ``except OSError`` around a save works.
"""


def reason(error: BaseException) -> str:
    """Return an error as it is told within another one."""
    return f"{type(error).__name__}: {error}"


class LazytrackError(Exception):
    """Base of every exception lazytrack raises of its own."""


class ReadOnlyError(LazytrackError, AttributeError):
    """A change was refused: the project, experiment or test is open for reading only."""


class SaveError(LazytrackError, OSError):
    """Something could not be written. What it names was not recorded and stays dirty."""


class FormatError(LazytrackError, ValueError):
    """A file is not a lazytrack store, or was written in a format this version does not know."""


class UnsafePathError(LazytrackError, ValueError):
    """A path points outside the store, or could on some operating system."""


class RecordDeletedError(LazytrackError, LookupError):
    """A record was deleted; deletes are final, so nothing can be saved to it any more."""


class VersionNotFoundError(LazytrackError, LookupError):
    """No version of an artifact fits what was asked for."""


class InvalidVersionError(LazytrackError, ValueError):
    """What was given as a version is none: not a number, a time, or an alias."""


class StepInterfaceError(LazytrackError, TypeError):
    """A step was declared or called in a way that cannot work."""


class StepFailed(LazytrackError, RuntimeError):  # noqa: N818  (a published name)
    """A step raised an exception that cannot be raised again in this process; its traceback is in the message."""


class WorkerLost(LazytrackError, RuntimeError):  # noqa: N818  (a published name)
    """The process that ran a step died without a word."""

    exit_code: int | None = None
    """Of that process, where it is known."""


class PipelineRunError(LazytrackError, RuntimeError):
    """A run of a pipeline cannot be started, or went wrong as a whole."""


class ArtifactError(LazytrackError):
    """Base of what goes wrong with artifacts."""


class ArtifactLogError(ArtifactError, ValueError):
    """An artifact cannot be logged."""


class ArtifactLoadError(ArtifactError, ValueError):
    """An artifact cannot be read back."""


class UntrustedArtifactError(ArtifactError, PermissionError):
    """Reading an artifact could run code, and its record is not signed by a key that this user holds."""


class StoreWarning(UserWarning):
    """Something in a store is damaged; the store's ``problems`` name each file and the reason."""
