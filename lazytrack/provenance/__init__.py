"""Provenance: where a result comes from, without the secrets that were used on the way."""

from lazytrack.provenance.redact import (
    add_pattern,
    add_secret,
    add_secret_name,
    looks_secret,
    redact,
    redact_command,
    redact_data,
    redact_diff,
    redact_url,
)

__all__ = [
    "add_pattern",
    "add_secret",
    "add_secret_name",
    "looks_secret",
    "redact",
    "redact_command",
    "redact_data",
    "redact_diff",
    "redact_url",
]
