import gc
import importlib.metadata
import re
import sys
import types
from importlib.metadata import EntryPoint
from typing import ClassVar

import attrs
import pytest

from lazytrack.artifacts import Artifact, JSONArtifact, PickleArtifact, get_handler, known_aliases, registry

pytestmark = pytest.mark.usefixtures("offer")

SCAN = registry._entry_points
"""The real one, which the fixture puts aside."""


def entry_point(name, value):
    return EntryPoint(name=name, value=value, group=registry.ENTRY_POINTS)


class Reading(Artifact):
    """What the handlers below have in common; no handler itself, as it has no alias."""

    suffix: ClassVar[str] = "txt"
    binary: ClassVar[bool] = False

    @classmethod
    def read(cls, buf, **kwargs):
        return buf.read()

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.write(obj)


def make_handler(name, alias, *, module=__name__, base=Reading):
    """Define a handler class, as a package of that name would."""
    body = {"__module__": module, "__qualname__": name, "alias": alias, "__doc__": "A handler."}
    return types.new_class(name, (base,), exec_body=lambda namespace: namespace.update(body))


# --- subclasses ---


def test_the_published_handlers_are_known():
    assert get_handler("json") is JSONArtifact
    assert get_handler("pickle") is PickleArtifact
    assert {"json", "pickle"} <= set(known_aliases())


def test_an_unknown_alias_is_refused_with_the_known_ones():
    handler = make_handler("Known", "registry-known")
    with pytest.raises(ValueError, match=r"^no handler 'jsn'; known: ") as caught:
        get_handler("jsn")
    known = str(caught.value).partition("known: ")[2].split(", ")
    assert {"json", "pickle", handler.alias} <= set(known)
    assert known == sorted(known)


def test_what_is_called_known_is_an_alias_that_some_handler_states():
    assert [alias for alias in known_aliases() if not re.fullmatch(r"[\w-]+", alias)] == []


@pytest.mark.parametrize("alias", ["", "JSON", "json ", "Artifact", None])
def test_an_alias_is_taken_literally(alias):
    with pytest.raises(ValueError, match="no handler"):
        get_handler(alias)


def test_subclasses_at_any_depth_are_found():
    child = make_handler("Child", "registry-child", base=JSONArtifact)
    grandchild = make_handler("Grandchild", "registry-grandchild", base=child)
    great = make_handler("Great", "registry-great", base=grandchild)
    assert [get_handler(cls.alias) for cls in (child, grandchild, great)] == [child, grandchild, great]


def test_two_classes_that_claim_one_alias_clash():
    one = make_handler("One", "registry-clash", module="package_a")
    other = make_handler("Other", "registry-clash", module="package_b")
    with pytest.raises(ValueError, match=r"'registry-clash' is claimed by package_a\.One and package_b\.Other"):
        get_handler("registry-clash")
    assert (one.alias, other.alias) == ("registry-clash", "registry-clash")


def test_classes_of_one_name_in_two_modules_clash():
    handlers = [make_handler("Same", "registry-same", module=module) for module in ("package_a", "package_b")]
    with pytest.raises(ValueError, match=r"package_a\.Same and package_b\.Same"):
        get_handler("registry-same")
    assert len(handlers) == 2


def test_a_clash_does_not_reach_other_aliases():
    handlers = [make_handler(name, "registry-quarrel") for name in ("One", "Other")]
    assert get_handler("json") is JSONArtifact
    assert "registry-quarrel" in known_aliases()
    assert len(handlers) == 2


def test_a_class_and_its_slotted_twin_are_no_clash():
    plain = make_handler("Slotted", "registry-slotted")
    slotted = attrs.define(plain)
    assert slotted is not plain
    assert get_handler("registry-slotted") is slotted
    del plain
    gc.collect()
    assert get_handler("registry-slotted") is slotted


def test_a_class_that_is_defined_again_in_a_notebook_replaces_the_first():
    first = make_handler("Again", "registry-again", module="__main__")
    assert get_handler("registry-again") is first
    second = make_handler("Again", "registry-again", module="__main__")
    assert get_handler("registry-again") is second
    assert first is not second


# --- entry points ---


def test_a_package_offers_a_handler_by_an_entry_point(offer, monkeypatch):
    module = types.ModuleType("offered_module")
    monkeypatch.setitem(sys.modules, "offered_module", module)
    offer(entry_point("registry-offered", "offered_module:Offered"))
    assert "registry-offered" in known_aliases()
    module.Offered = make_handler("Offered", "registry-offered", module="offered_module")
    assert get_handler("registry-offered") is module.Offered


def test_a_package_is_imported_only_when_its_handler_is_asked_for(offer, tmp_path, monkeypatch):
    (tmp_path / "lazily_imported.py").write_text("from lazytrack.artifacts import JSONArtifact as Late\n")
    monkeypatch.syspath_prepend(tmp_path)
    offer(entry_point("registry-late", "lazily_imported:Late"))
    assert get_handler("json") is JSONArtifact
    assert "lazily_imported" not in sys.modules
    assert get_handler("registry-late") is JSONArtifact
    assert sys.modules.pop("lazily_imported").Late is JSONArtifact


def test_one_class_reached_by_entry_point_and_as_a_subclass_is_no_clash(offer):
    offer(entry_point("json", "lazytrack.artifacts.json:JSONArtifact"))
    assert get_handler("json") is JSONArtifact
    assert known_aliases().count("json") == 1


def test_an_entry_point_and_a_subclass_that_claim_one_alias_clash(offer):
    handler = make_handler("Rival", "registry-rival")
    offer(entry_point(handler.alias, "lazytrack.artifacts.json:JSONArtifact"))
    with pytest.raises(ValueError, match=r"is claimed by lazytrack\.artifacts\.json\.JSONArtifact and .*\.Rival"):
        get_handler(handler.alias)


@pytest.mark.parametrize("value", ["no_such_module_here:Handler", "lazytrack.artifacts.json:NoSuchHandler"])
def test_an_entry_point_that_cannot_be_imported_is_named(offer, value):
    offer(entry_point("registry-broken", value))
    with pytest.raises(ImportError, match=f"handler 'registry-broken' is offered as {value!r}, which cannot") as caught:
        get_handler("registry-broken")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("fault", ["import no_such_library", "raise RuntimeError('no GPU')", "open('/no/such')", "a b"])
def test_an_entry_point_whose_module_raises_is_named(offer, tmp_path, monkeypatch, fault):
    (tmp_path / "raising_module.py").write_text(f"{fault}\n")
    monkeypatch.syspath_prepend(tmp_path)
    offer(entry_point("registry-raising", "raising_module:Handler"))
    with pytest.raises(ImportError, match="handler 'registry-raising' is offered as 'raising_module:Handler'"):
        get_handler("registry-raising")


@pytest.mark.parametrize("value", ["json:dumps", "pathlib:Path", "json", "lazytrack.artifacts.pickle:python_version"])
def test_an_entry_point_that_is_no_handler_class_is_named(offer, value):
    offer(entry_point("registry-odd", value))
    with pytest.raises(TypeError, match=f"handler 'registry-odd' is offered as {value!r}, which is no subclass"):
        get_handler("registry-odd")


def test_a_broken_entry_point_does_not_reach_other_aliases(offer):
    offer(entry_point("registry-broken", "no_such_module_here:Handler"))
    assert get_handler("json") is JSONArtifact
    with pytest.raises(ValueError, match=r"known: .*registry-broken"):
        get_handler("jsn")


def test_the_installed_packages_are_scanned_once(monkeypatch, request):
    scans = []

    def scan(**selection):
        scans.append(selection)
        return [entry_point("registry-scanned", "lazytrack.artifacts.json:JSONArtifact")]

    monkeypatch.setattr(registry, "_entry_points", SCAN)
    monkeypatch.setattr(importlib.metadata, "entry_points", scan)
    SCAN.cache_clear()
    request.addfinalizer(SCAN.cache_clear)
    assert get_handler("registry-scanned") is JSONArtifact
    assert get_handler("registry-scanned") is JSONArtifact
    assert "registry-scanned" in known_aliases()
    assert scans == [{"group": "lazytrack.artifact_type"}]
