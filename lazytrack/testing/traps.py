"""A pickle that tells whether somebody has loaded it: for tests that nothing but a trusted load does."""

import os
from pathlib import Path
from typing import Any


class Trap:
    """An object whose pickle runs code when it is loaded, as a stranger's may.

    Log it with the handler ``pickle``, take the signature away, or let somebody without the key look: whatever is
    done to the store then must leave `sprung` False.

    Parameters
    ----------
    marker
        Where a folder is made when the pickle is loaded; there must be nothing yet.
    """

    def __init__(self, marker: str | os.PathLike[str]) -> None:
        self._marker = Path(marker)

    @property
    def sprung(self) -> bool:
        """Whether the pickle was loaded."""
        return self._marker.exists()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as what makes the folder."""
        return os.mkdir, (str(self._marker),)
