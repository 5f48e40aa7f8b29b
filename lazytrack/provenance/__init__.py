"""Where a result comes from: the machine, the environment and the checkout, without the secrets used on the way."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazytrack.provenance.comparing import EnvDiff, env_diff

__all__ = ["EnvDiff", "env_diff"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: who logs needs none of it at once."""
    if name in __all__:
        from lazytrack.provenance import comparing  # noqa: PLC0415

        return getattr(comparing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
