import builtins
import inspect
import pickle
import re

import pytest

from lazytrack import errors

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and value.__module__ == errors.__name__
}
DRAWN = [
    (len(line) - len(line.lstrip("│├└─ ")), *match.groups())
    for line in inspect.getdoc(errors).splitlines()
    if (match := re.search(r"([A-Z]\w+(?:Error|Warning|Failed|Lost))(?: \((\w+)\))?(?: {2,}|$)", line))
]
"""The tree at the top of the module: how far each class is set in, its name, and the builtin it refines."""


def drawn_parents():
    """Yield each drawn class with the one above it in the tree and the builtin it refines."""
    above = []
    for indent, name, builtin in DRAWN:
        above = [(depth, parent) for depth, parent in above if depth < indent]
        yield name, above[-1][1] if above else None, builtin
        above.append((indent, name))


def test_the_tree_at_the_top_shows_every_exception_and_no_other():
    assert sorted(name for _, name, _ in DRAWN) == sorted(CLASSES)


@pytest.mark.parametrize(("name", "parent", "builtin"), list(drawn_parents()))
def test_each_exception_derives_from_what_the_tree_shows(name, parent, builtin):
    bases = [CLASSES.get(above) or getattr(builtins, above) for above in (parent, builtin) if above]
    assert list(CLASSES[name].__bases__) == (bases or [Exception])


def test_all_but_the_warnings_derive_from_the_base():
    assert {cls for cls in CLASSES.values() if not issubclass(cls, errors.LazytrackError)} == {errors.StoreWarning}


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ReadOnlyError", AttributeError),
        ("SaveError", OSError),
        ("FormatError", ValueError),
        ("UnsafePathError", ValueError),
        ("RecordDeletedError", LookupError),
        ("ArtifactLogError", ValueError),
        ("ArtifactLoadError", ValueError),
        ("StoreWarning", UserWarning),
    ],
)
def test_who_does_not_know_our_exceptions_catches_the_builtin(name, builtin):
    with pytest.raises(builtin, match="what happened"):
        raise CLASSES[name]("what happened")


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_each_exception_reaches_another_process_with_its_message(name):
    error = pickle.loads(pickle.dumps(CLASSES[name]("what happened")))
    assert type(error) is CLASSES[name]
    assert str(error) == "what happened"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_each_exception_says_what_it_is_for(name):
    assert CLASSES[name].__doc__
