"""Packs a project until its input ends, and tells how many packs it wrote.

Arguments: the project's folder; ``aging`` to delete what is replaced after half a second.
"""

import sys
import threading
from pathlib import Path

from lazytrack.files import open_files
from lazytrack.journal import Journal, packing

MARGIN = 0.5
"""A pack younger than this keeps what it replaces: a reader lists the two folders in far less time."""
MERGES = 40

folder, aging = Path(sys.argv[1]), "aging" in sys.argv
stop = threading.Event()


if aging:
    packing.GRACE_SECONDS = MARGIN
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

lasting = Journal(open_files(folder))
packs, merges = 0, 0
while not stop.is_set():
    packs += len(lasting.pack())
    packs += len(Journal(open_files(folder)).pack())
    if merges < min(MERGES, packs / 2):
        merges += 1
        lasting.pack(everything=True)
        Journal(open_files(folder)).pack(everything=True)
sys.stdout.write(f"{packs + merges}\n")
