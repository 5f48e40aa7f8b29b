"""Secrets: the variables that a step is given by name, and that no record holds."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from lazytrack.errors import StepInterfaceError
from lazytrack.steps.environment import outside

FILE = "LAZYTRACK_SECRETS_FILE"
"""The environment variable with the path of a JSON file of secrets."""


def look_up(names: Iterable[str], step: str) -> dict[str, str]:
    """Return the variables that the secrets of these names are.

    A secret is an environment variable of its name, or an entry in the JSON file that ``LAZYTRACK_SECRETS_FILE``
    names: a text, or an object of several variables. The file comes first.

    Raises
    ------
    StepInterfaceError
        When there is no such secret, or the file cannot be read; the message holds no secret.
    """
    names = list(names)
    kept, here = (_file(step), outside()) if names else ({}, {})
    variables: dict[str, str] = {}
    for name in names:
        found = kept.get(name, here.get(name))
        match found:
            case str():
                variables[name] = found
            case dict() if all(isinstance(value, str) for value in found.values()):
                variables |= found
            case None:
                where = f"neither in the file that {FILE} names nor" if FILE in os.environ else "not"
                raise StepInterfaceError(
                    f"step {step!r} needs the secret {name!r}, which is {where} in the environment: "
                    f"set the variable {name}, or name a JSON file of secrets in {FILE}"
                )
            case _:
                raise StepInterfaceError(
                    f"step {step!r}: the secret {name!r} in the file is neither text nor an object of texts"
                )
    return variables


def _file(step: str) -> dict[str, object]:
    path = os.environ.get(FILE)
    if not path:
        return {}
    try:
        kept = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # What a parser says of a file may quote it.
        why = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise StepInterfaceError(f"step {step!r}: the file of secrets, {path}, cannot be read: {why}") from None
    if not isinstance(kept, dict):
        raise StepInterfaceError(f"step {step!r}: the file of secrets, {path}, holds no JSON object")
    return kept
