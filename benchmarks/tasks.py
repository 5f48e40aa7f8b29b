"""What the benchmark of executors has run elsewhere: it is imported there."""

from lazytrack import step


@step(enable_cache=False)
def plus(n: int) -> int:
    """Add one."""
    return n + 1


def same(n: int) -> int:
    """Return what is given."""
    return n
