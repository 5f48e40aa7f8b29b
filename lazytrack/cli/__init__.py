"""The command line: ``lazytrack list``, ``lazytrack show`` and so on; ``lazytrack --help`` has them all.

What a command needs is loaded when it is called, so that help and completion come at once.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import typer
import typer.core
import typer.main

_COMMANDS = {
    "demo": ("upkeep", "Make a small project to look at."),
    "init": ("upkeep", "Begin a project, or a repository of artifacts."),
    "run": ("running", "Run a command as an experiment."),
    "list": ("experiments", "List experiments, with what they logged."),
    "show": ("experiments", "Show one experiment, run or step."),
    "compare": ("experiments", "Compare experiments side by side."),
    "diff": ("differences", "Say what differs between two results, or two times."),
    "history": ("experiments", "Show the curve of a metric."),
    "steps": ("runs", "List the steps of a run."),
    "lineage": ("runs", "Show what something comes of, and what of it."),
    "cache": ("runs", "Explain why a step was run, or forget its outputs."),
    "env": ("origins", "Show where a result comes from."),
    "reproduce": ("origins", "Print the commands that bring a run back."),
    "repo": ("repositories", "List and show the artifacts of a repository."),
    "promote": ("repositories", "Copy an artifact of an experiment to a repository."),
    "alias": ("repositories", "Have a name mean a version of an artifact."),
    "release": ("repositories", "Say which versions belong together."),
    "expire": ("repositories", "Say from when on a version is not to be used."),
    "close": ("experiments", "Say that an experiment does not run any more."),
    "delete": ("experiments", "Delete experiments, for good."),
    "export": ("exchange", "Write a project as one file that can be opened anywhere."),
    "import": ("exchange", "Take over what MLflow, lazyscribe or tango have kept."),
    "sync": ("exchange", "Copy what is missing of a store to another place."),
    "sql": ("exchange", "Ask in SQL."),
    "merge": ("exchange", "Add the experiments of other projects to one."),
    "gc": ("upkeep", "Find and delete the files that nobody needs."),
    "fsck": ("upkeep", "Look for damage."),
    "pack": ("upkeep", "Pack many small files of the log into few."),
    "doctor": ("upkeep", "Say what is installed and can be read."),
}
"""Of each command the module, and what it is for."""
_ALIASES = {"ls": "list"}


class _Commands(typer.core.TyperGroup):
    """The commands, each loaded when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        # Whoever lists them wants to know no more than this.
        if cmd_name not in _COMMANDS:
            return None
        return typer.core.TyperCommand(cmd_name, help=_COMMANDS[cmd_name][1], callback=lambda: None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = _ALIASES.get(args[0], args[0])
        if name in _COMMANDS:
            return name, _loaded(name), args[1:]
        import difflib

        close = difflib.get_close_matches(name, _COMMANDS, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "lazytrack --help lists them all"
        return ctx.fail(f"there is no command {name!r}: {hint}")


def _loaded(name: str) -> Any:
    module = importlib.import_module(f"lazytrack.cli.{_COMMANDS[name][0]}")
    return typer.main.get_group(module.app).commands[name]


app = typer.Typer(
    cls=_Commands,
    name="lazytrack",
    help="Experiment tracking that is just files.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # what draws boxes takes longer to load than all the rest
)


def _version(wanted: bool) -> None:
    if wanted:
        import lazytrack

        sys.stdout.write(f"lazytrack {lazytrack.__version__}\n")
        raise typer.Exit


@app.callback()
def _lazytrack(
    *,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Experiment tracking that is just files."""


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run the command line; what goes wrong is told on stderr, and by the exit code."""
    from lazytrack.cli.failing import run

    return run(app, arguments)
