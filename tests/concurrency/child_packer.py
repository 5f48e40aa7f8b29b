"""Packs a project until its input ends, and tells how many packs it wrote.

Arguments: the project's folder; after how many seconds to delete what is replaced, if not as usual.
"""

import json
import os
import sys
import threading

from lazytrack.files import open_files
from lazytrack.journal import Journal, packing

MERGES = 40

folder, grace = sys.argv[1], sys.argv[2:]
options = json.loads(os.environ.get("STORAGE_OPTIONS", "{}"))
stop = threading.Event()
if grace:
    packing.GRACE_SECONDS = float(grace[0])
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

lasting = Journal(open_files(folder, **options))
packs, merges = 0, 0
while not stop.is_set():
    packs += len(lasting.pack())
    packs += len(Journal(open_files(folder, **options)).pack())
    if merges < min(MERGES, packs / 2):
        merges += 1
        lasting.pack(everything=True)
        Journal(open_files(folder, **options)).pack(everything=True)
sys.stdout.write(f"{packs + merges}\n")
