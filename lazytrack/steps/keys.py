"""Cache keys: of what a call of a step consists, part by part, so that a miss can be explained."""

import functools
import glob
import hashlib
import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import attrs

from lazytrack.errors import StepInterfaceError, reason
from lazytrack.steps import code
from lazytrack.steps.base import BaseStep
from lazytrack.steps.configuration import StepConfiguration
from lazytrack.steps.hooks import find_hook
from lazytrack.steps.policy import CachePolicy, policy_said
from lazytrack.steps.spelling import digest, short_digest, spelled


@attrs.frozen(kw_only=True)
class FixedParts:
    """What of a key is the same for all calls of a step in one run.

    Parameters
    ----------
    digest
        Of all of it.
    parts
        A short digest of each part by its name, such as ``code`` or ``helper clean``.
    """

    digest: str
    parts: dict[str, str]


@attrs.frozen(kw_only=True)
class CacheKey:
    """The cache key of one call.

    Parameters
    ----------
    key
        In hexadecimal.
    fixed
        What all calls of the step have in common.
    told
        What this call has of its own, spelled, by the name of the part.
    """

    key: str
    fixed: FixedParts
    told: dict[str, str]

    @property
    def parts(self) -> dict[str, str]:
        """A short digest of each part by its name, which tells what has changed when the key has."""
        return self.fixed.parts | {name: short_digest(text) for name, text in self.told.items()}


def fixed_parts(step: BaseStep, configuration: StepConfiguration) -> FixedParts:
    """Return what all calls of a step have in common."""
    policy = configuration.cache_policy or CachePolicy()
    told: dict[str, str] = {"name": _name(step)}
    if (version := getattr(step, "VERSION", None)) is not None:
        told["version"] = spelled(version)
    if policy.include_step_code:
        told |= code.own_code(step)
        told |= {f"helper {name}": said for name, said in code.helpers(step).items()}
    told["outputs"] = spelled([[name, _handlers(configuration, name)] for name in step.interface.outputs])
    if said := policy_said(policy):
        told["policy"] = spelled(said)
    if configuration.environment:
        told["environment"] = spelled(configuration.environment)
    if configuration.secrets:
        told["secrets"] = spelled(sorted(configuration.secrets))
    return FixedParts(digest=_digest(told), parts={name: short_digest(text) for name, text in told.items()})


def _digest(told: Mapping[str, str]) -> str:
    return digest([text for name in sorted(told) for text in (name, told[name])])


def cache_key(
    step: BaseStep,
    fixed: FixedParts,
    policy: CachePolicy,
    parameters: Mapping[str, Any],
    contents: Mapping[str, str],
    ids: Mapping[str, str],
) -> CacheKey | None:
    """Return the key of a call; None where a parameter cannot be told from others.

    What the policy says is asked anew for each call: files may change meanwhile.

    Parameters
    ----------
    parameters
        By name, as the entrypoint gets them.
    contents, ids
        Of each artifact input: what tells its content, and which one it is.

    Raises
    ------
    StepInterfaceError
        When what the policy names is not there.
    """
    ignored = policy.ignored_inputs or ()
    told: dict[str, str] = {}
    if policy.include_step_parameters:
        try:
            told = {f"parameter {n}": spelled(value) for n, value in parameters.items() if n not in ignored}
        except (TypeError, ValueError):
            return None
    told |= code.state(step)
    if not policy.asks_nobody:
        try:
            told |= _of_policy(policy)
        except Exception as error:  # a user's function may raise anything
            what = f"step {step.name!r}: its cache policy cannot be followed: {reason(error)}"
            raise StepInterfaceError(what) from error
    inputs = contents if policy.include_artifact_values else ids if policy.include_artifact_ids else {}
    told |= {f"input {name}": value for name, value in inputs.items() if name not in ignored}
    return CacheKey(key=_digest({"": fixed.digest, **told}), fixed=fixed, told=told)


def _name(step: BaseStep) -> str:
    subject = step._code
    return f"{subject.__module__}.{subject.__qualname__}"


def _handlers(configuration: StepConfiguration, output: str) -> list[str] | None:
    chosen = (configuration.output_materializers or {}).get(output)
    if chosen is None:
        return None
    return [handler if isinstance(handler, str) else handler.alias for handler in chosen]


def _of_policy(policy: CachePolicy) -> dict[str, str]:
    told = {f"file {path}": _file_digest(path) for path in policy.file_dependencies or ()}
    for thing in policy.source_dependencies or ():
        found = _at(thing) if isinstance(thing, str) else thing
        name = thing if isinstance(thing, str) else getattr(thing, "__qualname__", None) or type(thing).__qualname__
        told[f"source {name}"] = code.dependency(found)
    if policy.cache_func is not None:
        told["cache_func"] = spelled(find_hook(policy.cache_func, "cache_func")())
    return told


def _at(path: str) -> Any:
    try:
        return import_module(path)
    except ImportError:
        module, _, name = path.rpartition(".")
        if not module:
            raise
        return functools.reduce(getattr, name.split("."), _at(module))


def _file_digest(path: str) -> str:
    """Return a digest of a file, or of all files of a folder, or of a pattern's."""
    if os.path.isfile(path):  # noqa: PTH113  (paths are strings here)
        return _of_file(path)
    pattern = os.path.join(glob.escape(path), "**") if os.path.isdir(path) else path  # noqa: PTH112, PTH118
    files = sorted(filter(os.path.isfile, glob.glob(pattern, recursive=True)))  # noqa: PTH207
    if not files and not os.path.isdir(path):  # noqa: PTH112
        raise FileNotFoundError(f"file_dependencies: there is no file {path!r}")
    return digest(_names_and_digests(path, files))


def _names_and_digests(above: str, files: Iterable[str]) -> Iterable[str]:
    for file in files:
        yield os.path.relpath(file, above)
        yield _of_file(file)


def _of_file(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123
        return hashlib.file_digest(file, "sha256").hexdigest()
