"""``python -m lazytrack`` is the command line."""

import sys

from lazytrack.cli import main

sys.exit(main())
