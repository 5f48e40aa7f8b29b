"""Runs all benchmarks, or those that are named, and prints what they found; with --write RESULTS.md holds it too."""

import argparse
import os
import platform
import sys
from importlib.metadata import version

import artifacts
import exchange
import executors
import figures
import lightness
import opening
import places
import provenance
import remote
import saving
import series
import steps
import terminal
import versions
import writers

BENCHMARKS = {
    "save-small-large": saving.small_and_large,
    "save-lazyscribe": saving.beside_lazyscribe,
    "save-disk": saving.beside_disk,
    "save-bytes": saving.bytes_written,
    "open-parse": opening.beside_parsing,
    "open-lazyscribe": opening.beside_lazyscribe,
    "writers": writers.together,
    "save-pickle": artifacts.save_pickle,
    "load-pickle": artifacts.load_pickle,
    "save-one-of-many": artifacts.save_one_of_many,
    "look-up": versions.look_up,
    "equal-content": versions.equal_content,
    "provenance": provenance.capturing,
    "steps": steps.recording,
    "executors": executors.beside_inline,
    "terminal": terminal.commands,
    "requests": remote.requests,
    "save-many": remote.many_artifacts,
    "save-remote": remote.large_artifact,
    "import": lightness.importing,
    "log-call": lightness.log_call,
    "log-series": series.log_points,
    "log-series-others": series.beside_others,
    "read-series": series.read_points,
    "autosave": series.autosave,
    "exchange": exchange.sql,
}


def main() -> int:
    """Run what the command line asks for; the exit code tells whether all of it could be run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which to run, by default all: {' '.join(BENCHMARKS)}"
    )
    parser.add_argument("--write", action="store_true", help="put the results into RESULTS.md")
    asked = parser.parse_args()
    if unknown := set(asked.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
    sections, failed = {}, False
    with places.work_folder() as work:
        where = (
            f"on {places.filesystem(work)} with {os.cpu_count()} cores, {platform.python_implementation()} "
            f"{platform.python_version()}, fsspec {version('fsspec')}, orjson {version('orjson')}"
        )
        print(f"writing to {work.relative_to(places.HERE.parent)}, {where}\n", flush=True)
        for name in asked.names or BENCHMARKS:
            load = os.getloadavg()[0]
            try:
                result = BENCHMARKS[name](work)
            except Exception as error:  # noqa: BLE001  (one that cannot run, say offline, does not stop the others)
                print(f"## {name}\n\ncould not run: {type(error).__name__}: {error}\n", file=sys.stderr, flush=True)
                failed = True
                continue
            sections[name] = figures.section(name, result, f"{where}; load average before it {load:.1f}")
            print(sections[name], flush=True)
            if asked.write:
                figures.rewrite(places.HERE / "RESULTS.md", sections, list(BENCHMARKS))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
