"""Secrets by reference: what ``{{name.key}}`` in a configuration means, in a file of secrets or the environment."""

import json
import os
import re
from pathlib import Path
from typing import Any

FILE = "LAZYTRACK_SECRETS_FILE"
"""The environment variable with the path of a JSON file of secrets."""
_REFERENCE = re.compile(r"\{\{\s*([^\s{}.]+)(?:\.([^\s{}]+))?\s*\}\}")


def is_reference(value: Any) -> bool:
    """Tell whether a value is a reference to a secret, and nothing else."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value.strip()) is not None


def resolved(value: str) -> str:
    """Return the secret that a reference means.

    ``{{aws.key}}`` is the entry ``key`` of the object ``aws`` in the JSON file that ``LAZYTRACK_SECRETS_FILE`` names,
    else the environment variable ``AWS_KEY``; ``{{token}}`` the text ``token`` there, else the variable ``token``.

    Raises
    ------
    LookupError
        When there is none; the message holds no secret.
    """
    match = _REFERENCE.fullmatch(value.strip())
    if match is None:
        raise LookupError("that is no reference to a secret: write {{name.key}}")
    name, key = match.groups()
    kept = read_file().get(name)
    found = kept.get(key) if isinstance(kept, dict) and key else kept if not key else None
    variable = name if not key else f"{name}_{key}".upper().replace("-", "_").replace(".", "_")
    found = found if isinstance(found, str) else os.environ.get(variable)
    if found is None:
        raise LookupError(
            f"there is no secret {match[0]}: put it into the JSON file that {FILE} names, or into the variable "
            f"{variable}"
        )
    return found


def read_file() -> dict[str, Any]:
    """Return the secrets in the file, by name; none where there is no file.

    Raises
    ------
    LookupError
        When it cannot be read; the message holds no secret.
    """
    path = os.environ.get(FILE)
    if not path:
        return {}
    try:
        kept = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # What a parser says of a file may quote it.
        why = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise LookupError(f"the file of secrets, {path}, cannot be read: {why}") from None
    if not isinstance(kept, dict):
        raise LookupError(f"the file of secrets, {path}, holds no JSON object")  # noqa: TRY004  (a file's content, not an argument)
    return kept
