"""Secrets: the variables that a step is given by name, and that no record holds."""

import os
from collections.abc import Iterable

from lazytrack.errors import StepInterfaceError
from lazytrack.step_operators.references import FILE, read_file
from lazytrack.steps.environment import outside


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
    kept, here = (_kept(step), outside()) if names else ({}, {})
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


def _kept(step: str) -> dict[str, object]:
    try:
        return read_file()
    except LookupError as error:
        raise StepInterfaceError(f"step {step!r}: {error}") from None  # (what it comes from may quote a secret)
