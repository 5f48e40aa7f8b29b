"""How to bring a run back: the commands that check out its code, make its environment, and run it again.

A script is piped to a shell, and what it is made of a stranger may have written. So each word of a record is quoted, or
has the one form it may have; none is taken for an option; and what is only told stays on the line of its comment.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from lazytrack.errors import LazytrackError
from lazytrack.tracking.recipe.code import apply_diff, check_out
from lazytrack.tracking.recipe.command import run
from lazytrack.tracking.recipe.draft import Draft
from lazytrack.tracking.recipe.installation import install

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment


@attrs.frozen(kw_only=True)
class Recipe:
    """How to bring a run back. ``print(recipe)`` shows it as a script for a POSIX shell.

    Parameters
    ----------
    slug
        Of the experiment.
    commands
        To be run one after the other, in an empty folder.
    obstacles
        Why the run cannot be brought back, or not by these commands alone; where there are any, the script stops
        before it does anything.
    notes
        What may make a difference all the same.
    """

    slug: str
    commands: Sequence[str]
    obstacles: Sequence[str]
    notes: Sequence[str]

    def __str__(self) -> str:
        lines = [f"# how to bring back {_in_line(self.slug)}", "set -eu"]
        lines += [f"# note: {_in_line(note)}" for note in self.notes]
        for obstacle in self.obstacles:
            lines += [f"# it cannot be brought back as it was: {_in_line(obstacle)}"]
        if self.obstacles:
            lines += ["exit 1", "# what could be done:"]
        return "\n".join([*lines, *self.commands])


def _in_line(text: str) -> str:
    """Return a text as a terminal shows it on one line, with everything else spelled out."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def recipe_of(experiment: "Experiment") -> Recipe:
    """Return how to bring a run back.

    Raises
    ------
    LazytrackError
        When nothing is recorded of where it comes from.
    """
    environment = experiment.environment
    if environment is None:
        raise LazytrackError(
            f"{experiment.slug} does not say where it comes from: it was logged with LAZYTRACK_PROVENANCE=0, or by an "
            "older lazytrack"
        )
    draft = Draft()
    check_out(draft, environment)
    apply_diff(draft, experiment, environment.git)
    install(draft, environment)
    run(draft, environment)
    if any(not sign.isprintable() and sign not in "\n\t" for command in draft.commands for sign in command):
        draft.obstacles.append("its commands hold characters that a terminal does not show: look at them first")
    return Recipe(slug=experiment.slug, commands=draft.commands, obstacles=draft.obstacles, notes=draft.notes)
