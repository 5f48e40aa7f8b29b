"""The command that runs others: lazytrack run."""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from lazytrack.cli import given
from lazytrack.cli.failing import Failure
from lazytrack.cli.output import note

if TYPE_CHECKING:
    from lazytrack.tracking import Experiment, Project

app = typer.Typer(rich_markup_mode=None)
_NOT_FOUND, _NOT_RUN = 127, 126
"""Exit codes of shells."""
_OF_A_SIGNAL = 128
"""Plus its number: the exit code of shells where a signal has ended a command."""


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run(
    command: Annotated[list[str], typer.Argument(help="The command, best behind --.", metavar="[--] COMMAND...")],
    project: given.ProjectPath = None,
    *,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Of the experiment.", show_default="that of the program")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag; may be given again.")] = None,
    notes: Annotated[str | None, typer.Option("--notes", help="What there is to say about it.")] = None,
    capture: Annotated[bool, typer.Option("--capture/--no-capture", help="Keep what it prints.")] = True,
) -> None:
    """Run a command as an experiment, without a change to its code; the exit code is the command's.

    Kept are its environment, git checkout, command line with the options in it as parameters, output and exit code. A
    script that wants to log more asks for lazytrack.current_experiment().
    """
    from lazytrack.provenance import capture as provenance
    from lazytrack.provenance import launched
    from lazytrack.tracking import Project
    from lazytrack.tracking.surrounding import EXPERIMENT, PROJECT

    words = command[1:] if command[0] == "--" else command
    said = [_as_text(word) for word in words]
    if not words:
        raise Failure("there is no command: lazytrack run -- python train.py", 2)
    if shutil.which(words[0]) is None:
        is_file = Path(words[0]).is_file()
        why = "may not be executed: chmod +x, or name what runs it" if is_file else "is not found"
        raise Failure(f"{words[0]} {why}", _NOT_RUN if is_file else _NOT_FOUND)
    launched.stand_for(attrs.evolve(launched.Launched.of(words), words=said))
    try:
        opened = Project(project or "project.json")
        begun = opened.log(name or _name_of(said), notes=notes)
        begun.tag(*(tag or ()))
        begun.log_parameters(parameters_in(said), redact=True)
        opened.save()  # or nothing is run
        experiment = opened.attach(begun.slug, autosave=True)
        environment = {**os.environ, PROJECT: opened.location, EXPERIMENT: experiment.slug}
        code = _run(opened, experiment, words, environment, capture=capture)
        if (known := provenance.begin()) is not None:
            known.result()  # or it would tell of this process
    finally:
        launched.stand_for(None)
    raise typer.Exit(code)


def _run(
    project: "Project", experiment: "Experiment", words: Sequence[str], environment: dict[str, str], *, capture: bool
) -> int:
    """Run the command, note how it ended, and return the exit code."""
    from lazytrack.cli import launching
    from lazytrack.tracking.output import capture_for

    kept = capture_for(experiment) if capture else None
    try:
        code, came = launching.run(words, environment=environment, keep=None if kept is None else kept.take)
    except OSError as error:
        experiment.finish("failed")
        raise Failure(f"{words[0]} cannot be run: {error.strerror}", _NOT_RUN) from error
    shown = code if code >= 0 else _OF_A_SIGNAL - code
    status, told = "completed", None
    if code != 0:
        was_stopped = -code in launching.STOPPED_BY or bool(came & launching.STOPPED_BY)
        status = "stopped" if was_stopped else "failed"
        said = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        told = f"the command {said}"
    try:
        project.refresh()  # what logged to it may have said what went wrong
        experiment.finish(status, error=experiment.error or told, exit_code=shown)
    except OSError as failure:  # the command has run, and its exit code is what counts
        note(f"{experiment.slug} could not be saved: {failure}")
    return shown


def _name_of(words: Sequence[str]) -> str:
    """Return what to call a run of a command: the script that Python runs, a module, or the program."""
    from lazytrack.provenance import launched

    known = launched.current()
    if known is not None and known.program is not None:
        return known.program.stem
    if known is not None and known.module is not None:
        return known.module
    return Path(words[0]).stem


def parameters_in(words: Sequence[str]) -> dict[str, Any]:
    """Return the options of a command as parameters: ``--lr 0.1``, ``--lr=0.1``, ``model.lr=0.1``, ``--fast``.

    A value is a number, a truth value or None where nothing is lost by reading it so: ``3.10`` and ``007`` stay text.
    A name that is given again has a list of values.
    """
    from lazytrack.exchange.spelled import read_word

    found: dict[str, list[Any]] = {}
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        option, equals, text = word.partition("=")
        name = option.lstrip("-").replace("-", "_")
        if word.startswith("--"):
            if not equals:
                is_alone = not rest or _is_assignment(rest[0]) or (rest[0][:1] == "-" and not _is_number(rest[0]))
                text = "True" if is_alone else rest.pop(0)
        elif not _is_assignment(word):
            continue
        if name:
            found.setdefault(name, []).append(read_word(text))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.replace("-", "_").replace(".", "_").isidentifier() and not name.startswith("-")


def _as_text(word: str) -> str:
    """Return a word of a command as text: what is no UTF-8, such as the name of an old file, is spelled."""
    return os.fsencode(word).decode("utf-8", "backslashreplace")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
