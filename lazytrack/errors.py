"""The exceptions lazytrack raises, one tree.

::

    LazytrackError
    ├── ReadOnlyError (AttributeError)      the object or project may not be changed
    ├── SaveError (OSError)                 something could not be written; it stays dirty
    ├── FormatError (ValueError)            the file is no store of ours, or of a newer lazytrack
    ├── UnsafePathError (ValueError)        a path would leave the store
    ├── RecordDeletedError (LookupError)    the record was deleted, for good
    └── ArtifactError
        ├── ArtifactLogError (ValueError)   the artifact cannot be logged
        └── ArtifactLoadError (ValueError)  the artifact cannot be read back

    StoreWarning (UserWarning)              something in the store is damaged; see ``problems``

Each also derives from the builtin exception it refines, so ``except OSError`` around a save works.
"""


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


class ArtifactError(LazytrackError):
    """Base of what goes wrong with artifacts."""


class ArtifactLogError(ArtifactError, ValueError):
    """An artifact cannot be logged."""


class ArtifactLoadError(ArtifactError, ValueError):
    """An artifact cannot be read back."""


class StoreWarning(UserWarning):
    """Something in a store is damaged; the store's ``problems`` name each file and the reason."""
