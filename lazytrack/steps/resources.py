"""What a step asks of the machine that runs it."""

import re
from typing import Any

import attrs

_MEMORY = re.compile(r"(\d+)\s*([KMGTP]i?B)", re.ASCII)
_POWERS = "KMGTP"


def _cpu_count(_: Any, attribute: Any, value: Any) -> None:
    if value is not None and not (_is_number(value, int, float) and 0 < value < float("inf")):
        raise ValueError(f"{attribute.name} must be a number above 0, not {value!r}")


def _gpu_count(_: Any, attribute: Any, value: Any) -> None:
    if value is not None and not (_is_number(value, int) and value >= 0):
        raise ValueError(f"{attribute.name} must be a whole number, 0 or more, not {value!r}")


def _memory(_: Any, attribute: Any, value: Any) -> None:
    if value is not None and not (isinstance(value, str) and _MEMORY.fullmatch(value)):
        raise ValueError(f"{attribute.name} must be such as '2GiB' or '500MB', not {value!r}")


def _is_number(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


@attrs.frozen(kw_only=True)
class ResourceSettings:
    """What a step asks of the machine that runs it; None where it does not matter.

    Parameters
    ----------
    cpu_count
        Above 0; may be a fraction.
    gpu_count
        0 or more.
    memory
        A whole number of KB, MB, GB, TB, PB, or of KiB, MiB, GiB, TiB, PiB: ``2GiB``.
    """

    cpu_count: float | None = attrs.field(default=None, validator=_cpu_count)
    gpu_count: int | None = attrs.field(default=None, validator=_gpu_count)
    memory: str | None = attrs.field(default=None, validator=_memory)

    @property
    def memory_bytes(self) -> int | None:
        """How many bytes `memory` is."""
        if self.memory is None or (found := _MEMORY.fullmatch(self.memory)) is None:
            return None
        number, unit = found.groups()
        return int(number) * int((1024 if "i" in unit else 1000) ** (_POWERS.index(unit[0]) + 1))
