"""Redaction: no recognised secret is in what lazytrack captures by itself."""

from lazytrack.provenance.redact.commands import redact_command
from lazytrack.provenance.redact.data import redact_data
from lazytrack.provenance.redact.diffs import redact_diff
from lazytrack.provenance.redact.names import add_secret_name, looks_secret
from lazytrack.provenance.redact.text import MASK, redact, redact_url
from lazytrack.provenance.redact.tokens import add_pattern
from lazytrack.provenance.redact.told import add_secret

__all__ = [
    "MASK",
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
