"""A random history of a project and a repository, with collections in between: nothing that can be loaded is lost."""

import shutil
import tempfile
import warnings
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lazytrack import Project, Repository, naming
from lazytrack.errors import ArtifactLogError, RecordDeletedError, SaveError
from lazytrack.files.memory import MemoryFiles
from lazytrack.release import Release, dumps

HOUR = 3600


@attrs.frozen
class Folder:
    """A value that is logged as a folder: pairs of a path and a text."""

    files: tuple[tuple[str, str], ...]


FOLDERS = [
    Folder((("a", "some text"),)),
    Folder((("a", "some text"), ("b", "another text"))),
    Folder((("a", "changed text"), ("b", "another text"), ("inner/c", "some text"))),
]
VALUES = st.sampled_from([[1], [2], "some longer text", {"a": "dict"}, *FOLDERS])
LIVES = st.sampled_from([None, None, None, "1h", "30h", "90d"])
WHO = st.sampled_from(["first", "second"])
WHEN = st.sampled_from([("append", 1), ("append", 2), ("refresh", 1), ("refresh", 2), ("remove", 1)])
"""Before which call of a collection something else happens: its notes, its looks, its deletions."""
DEATH = st.sampled_from(["condemned", "deleting"])
"""When a collection dies: when files are condemned and all there, or when half of them are deleted."""
GAP = st.sampled_from([0, 1, 13, 25, 80])


@attrs.define
class Version:
    """What a model says of a version that is saved."""

    value: object
    expiry: object = None
    is_deleted: bool = False


class History(RuleBasedStateMachine):
    """Two processes at one project and one repository, each with its own memory of what it has read."""

    @initialize()
    def begin(self):
        self.patches = pytest.MonkeyPatch()
        self.ahead = 0
        self.times = {}
        now, micros, stat = naming.now, naming.micros, MemoryFiles.stat

        def moved(files, path):
            found = stat(files, path)
            since = self.times.setdefault((files.url, path, found.modified), self.ahead)
            return attrs.evolve(found, modified=found.modified + since)

        self.patches.setattr(naming, "now", lambda: now() + timedelta(seconds=self.ahead))
        self.patches.setattr(naming, "micros", lambda: micros() + self.ahead * 10**6)
        self.patches.setattr(MemoryFiles, "stat", moved)
        self.patches.setattr("lazytrack.tracking.catalog._LARGE_BYTES", 5)
        self.patches.setattr("lazytrack.repository.place._LARGE_BYTES", 5)
        self.place = f"memory://{naming.unique()}"
        self.folder = Path(tempfile.mkdtemp())
        self.projects, self.repositories = {}, {}
        for who in ("first", "second"):
            self.reopen(who)
        self.projects["first"].save()
        self.repositories["first"].save()
        self.experiments: dict[str, dict[str, Version]] = {}
        self.upstream: dict[str, set[str]] = {}
        """Of an experiment those that it depends on."""
        self.versions: dict[int, Version] = {}
        self.aliases: dict[str, int] = {}
        self.released: list[int] = []
        self.interrupt = None

    def teardown(self):
        if not hasattr(self, "patches"):
            return
        try:
            self.let_time_pass(80)
            for who in ("first", "second"):
                self.reopen(who)
            for _ in range(2):
                self.collect("first", None)
                self.collect_versions("first", None)
            self.everything_loads()
            assert self.projects["second"].fsck() == []
            assert self.repositories["second"].fsck() == []
        finally:
            self.patches.undo()
            shutil.rmtree(self.folder)

    # --- what happens ---

    def reopen(self, who):
        self.projects[who] = Project(f"{self.place}/project.json", mode="w+")
        self.repositories[who] = Repository(f"{self.place}/repository.json")

    @rule(who=WHO)
    def another_process_begins(self, who):
        self.reopen(who)

    @rule(hours=GAP)
    def let_time_pass(self, hours):
        for store in (self.projects["first"], self.repositories["first"]):
            list(store._journal.files.walk())  # so that what is there is of this time
        self.ahead += hours * HOUR

    @rule(who=WHO)
    def look(self, who):
        self.projects[who].refresh()
        self.repositories[who].refresh()

    @rule(who=WHO, value=VALUES, life=LIVES, crash=st.booleans())
    def log(self, who, value, life, crash):
        project = self.projects[who]
        with project.log("exp") as exp:
            exp.log_artifact("it", self.as_logged(value), expiry=life)
        with self.crashing(project, crash and self.interrupt is None):
            project.save()
        self.experiments[exp.slug] = {"it": Version(value, exp.artifacts[0].expiry)}
        if crash and self.interrupt is None:
            del self.experiments[exp.slug]
            self.reopen(who)

    @precondition(lambda self: self.experiments)
    @rule(who=WHO, data=st.data(), value=VALUES, life=LIVES)
    def overwrite(self, who, data, value, life):
        slug = data.draw(st.sampled_from(list(self.experiments)))
        project = self.projects[who]
        project.refresh()
        exp = project[slug]
        exp.log_artifact("it", self.as_logged(value), overwrite=True, expiry=life)
        try:
            project.save()
        except RecordDeletedError:
            assert slug not in self.experiments
            return
        self.experiments[slug] = {"it": Version(value, exp.artifacts[0].expiry)}

    @precondition(lambda self: self.experiments)
    @rule(who=WHO, data=st.data())
    def delete(self, who, data):
        slug = data.draw(st.sampled_from(list(self.experiments)))
        project = self.projects[who]
        project.refresh()
        project.delete(slug)
        project.save()
        self.experiments.pop(slug, None)

    @precondition(lambda self: len(self.experiments) > 1)
    @rule(who=WHO, data=st.data())
    def depend(self, who, data):
        """One experiment builds on another, whose artifact stays from then on, whether it expires or not."""
        down, up = data.draw(st.lists(st.sampled_from(list(self.experiments)), min_size=2, max_size=2, unique=True))
        if not self.is_kept(up):
            return
        self.make_depend(who, down, up)

    def make_depend(self, who, down, up):
        project = self.projects[who]
        project.refresh()
        project[down].dependencies[up] = project[up]
        project.save()
        self.upstream.setdefault(down, set()).add(up)

    @rule(who=WHO, value=VALUES)
    def collect_what_another_builds_on(self, who, value):
        self.log(who, value, "30h", crash=False)
        self.log(who, [1], None, crash=False)
        up, down = list(self.experiments)[-2:]
        self.make_depend(who, down, up)
        self.let_time_pass(80)
        self.collect(who, None)

    @precondition(lambda self: self.experiments)
    @rule(who=WHO, data=st.data())
    def promote(self, who, data):
        slug = data.draw(st.sampled_from(list(self.experiments)))
        project, repository = self.projects[who], self.repositories[who]
        project.refresh()
        its = self.experiments[slug]["it"]
        if not self.is_kept(slug):
            return  # its file may be gone
        repository.refresh()
        try:
            number = project[slug].promote_artifact(repository, "it")
        except ArtifactLogError:  # it is not newer
            return
        self.versions[number] = Version(its.value, its.expiry)

    @rule(who=WHO, value=VALUES, life=LIVES, crash=st.booleans())
    def log_version(self, who, value, life, crash):
        repository = self.repositories[who]
        repository.log_artifact("it", self.as_logged(value), expiry=life)
        artifact = repository._new["it"][max(repository._new["it"])]
        with self.crashing(repository, crash and self.interrupt is None):
            repository.save()
        if crash and self.interrupt is None:
            self.reopen(who)
        else:
            self.versions[artifact.version] = Version(value, artifact.expiry)

    def living(self):
        return sorted(number for number, version in self.versions.items() if not version.is_deleted)

    @precondition(lambda self: self.living())
    @rule(who=WHO, data=st.data(), life=st.sampled_from(["1h", "90d"]))
    def move_expiry(self, who, data, life):
        number = data.draw(st.sampled_from(self.living()))
        version = self.versions[number]
        if not self.is_needed(number):
            return  # its file may be gone already
        repository = self.repositories[who]
        repository.refresh()
        repository.set_artifact_expiry("it", version=number, expiry=life)
        repository.save()
        version.expiry = repository.versions("it")[self.living().index(number)].expiry

    @precondition(lambda self: self.living())
    @rule(who=WHO, data=st.data(), alias=st.sampled_from(["champion", "challenger"]))
    def move_alias(self, who, data, alias):
        number = data.draw(st.sampled_from(self.living()))
        if not self.is_needed(number):
            return
        repository = self.repositories[who]
        repository.refresh()
        repository.set_alias("it", alias, version=number)
        repository.save()
        self.aliases[alias] = number

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def release(self, data):
        number = data.draw(st.sampled_from(self.living()))
        if not self.is_needed(number):
            return
        self.released.append(number)
        releases = [Release(f"v{n}", [("it", each)]) for n, each in enumerate(self.released)]
        self.repositories["first"]._files.create("releases.json", dumps(releases).encode())

    @precondition(lambda self: self.living())
    @rule(who=WHO, data=st.data())
    def delete_version(self, who, data):
        number = data.draw(st.sampled_from(self.living()))
        repository = self.repositories[who]
        repository.refresh()
        if number in self.aliases.values() or number in self.released:
            return
        repository.delete("it", number)
        repository.save()
        self.versions[number].is_deleted = True

    # --- collections, and saves in the middle of them ---

    @rule(who=WHO, value=st.none() | VALUES, when=WHEN)
    def collect(self, who, value, when=("remove", 1)):
        project = self.projects[who]
        other = "second" if who == "first" else "first"
        with self.meanwhile(project, when, lambda: value and self.log(other, value, None, crash=False)):
            project.gc(dry_run=False)

    @rule(who=WHO, value=st.none() | VALUES, when=WHEN)
    def collect_versions(self, who, value, when=("remove", 1)):
        repository = self.repositories[who]
        other = "second" if who == "first" else "first"
        with self.meanwhile(repository, when, lambda: value and self.log_version(other, value, None, crash=False)):
            repository.gc(dry_run=False)

    @rule(who=WHO, death=DEATH)
    def die_while_collecting(self, who, death):
        for store in (self.projects[who], self.repositories[who]):
            with self.dying(store, death), pytest.raises(OSError, match="died here"):
                store.gc(dry_run=False)
        self.reopen(who)

    @rule(who=WHO, value=VALUES, change=VALUES, death=DEATH)
    def die_while_collecting_what_was_overwritten(self, who, value, change, death):
        """Part of what is deleted may be part of what took its place."""
        self.log(who, value, None, crash=False)
        slug = list(self.experiments)[-1]
        project = self.projects[who]
        project[slug].log_artifact("it", self.as_logged(change), overwrite=True)
        project.save()
        self.experiments[slug] = {"it": Version(change)}
        self.let_time_pass(25)
        self.die_while_collecting(who, death)
        self.log(who, value, None, crash=False)

    @rule(value=VALUES, when=WHEN)
    def collect_what_the_other_remembers(self, value, when):
        """One has read of a file that nobody names any more, and is about to name it again."""
        self.log("first", value, None, crash=False)
        slug = list(self.experiments)[-1]
        self.log_version("first", value, None, crash=False)
        number = self.living()[-1]
        self.look("second")
        self.projects["first"].delete(slug)
        self.projects["first"].save()
        del self.experiments[slug]
        self.repositories["first"].delete("it", number)
        self.repositories["first"].save()
        self.versions[number].is_deleted = True
        self.let_time_pass(25)
        self.collect("first", value, when)
        self.collect_versions("first", value, when)

    @precondition(lambda self: self.living())
    @rule(data=st.data(), when=WHEN)
    def collect_what_is_to_stay_after_all(self, data, when):
        """A version has expired, and gets an alias at that moment."""
        self.log_version("first", ["unlike", "any", "other", str(self.ahead)], "1h", crash=False)
        number = self.living()[-1]
        self.let_time_pass(27)
        self.look("second")
        repository = self.repositories["second"]

        def give_alias():
            repository.set_alias("it", "champion", version=number)
            repository.save()
            self.aliases["champion"] = number

        with self.meanwhile(self.repositories["first"], when, give_alias):
            self.repositories["first"].gc(dry_run=False)

    @rule(who=WHO, value=VALUES)
    def collect_while_somebody_saves(self, who, value):
        other = "second" if who == "first" else "first"
        with self.meanwhile(self.projects[who], ("append", 1), lambda: self.projects[other].gc(dry_run=False)):
            self.log(who, value, None, crash=False)
        with self.meanwhile(self.repositories[who], ("append", 1), lambda: self.repositories[other].gc(dry_run=False)):
            self.log_version(who, value, None, crash=False)

    @contextmanager
    def meanwhile(self, store, when, act):
        """Do something once, in the middle of what is done to a store; nothing else happens in the middle of that."""
        where, turn = when
        owner = store._journal if where in {"append", "refresh"} else store._journal.files
        real = getattr(owner, where)
        calls = []

        def hooked(*args, **kwargs):
            calls.append(where)
            if self.interrupt is not None and len(calls) == turn:
                action, self.interrupt = self.interrupt, None
                try:
                    action()
                finally:
                    self.interrupt = None
            return real(*args, **kwargs)

        self.interrupt = act
        setattr(owner, where, hooked)
        try:
            yield
        finally:
            delattr(owner, where)
            self.interrupt = None

    @contextmanager
    def crashing(self, store, crash):
        """Have a save end before its log file is written, as if the process died there."""
        if not crash:
            yield
            return

        def fail(*_, **__):
            raise OSError(5, "the process died here")

        store._journal.append = fail
        with pytest.raises(SaveError):
            yield

    @contextmanager
    def dying(self, store, death):
        """Have a collection end where it deletes, as if the process died there."""
        files = store._journal.files
        real = files.remove

        def fail(paths):
            doomed = list(paths)
            if death == "deleting":
                real(doomed[: (len(doomed) + 1) // 2])
            raise OSError(5, "the process died here")

        files.remove = fail
        try:
            yield
        finally:
            del files.remove

    def as_logged(self, value):
        """Return what is logged for a value."""
        if not isinstance(value, Folder):
            return value
        folder = self.folder / naming.unique()
        for name, text in value.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    def check(self, load, value):
        """Load a value, and see that it is the one that was logged."""
        if not isinstance(value, Folder):
            assert load() == value
            return
        folder = load(to=self.folder / "loaded")
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        assert {name: path.read_text() for name, path in found.items()} == dict(value.files)
        shutil.rmtree(folder)

    # --- what has to be ---

    def is_kept(self, slug):
        """Tell whether an experiment's artifact stays: it is valid, or another experiment builds on it."""
        expiry = self.experiments[slug]["it"].expiry
        is_needed = any(slug in self.upstream.get(down, ()) for down in self.experiments)
        return is_needed or expiry is None or expiry > naming.now()

    def is_needed(self, number):
        version = self.versions[number]
        is_kept = number in self.aliases.values() or number in self.released
        return is_kept or version.expiry is None or version.expiry > naming.now()

    @invariant()
    def everything_loads(self):
        if not hasattr(self, "patches"):
            return
        project = Project(f"{self.place}/project.json", mode="r")
        for slug, artifacts in self.experiments.items():
            for name, version in artifacts.items():
                if self.is_kept(slug):
                    with warnings.catch_warnings(action="ignore"):
                        self.check(partial(project[slug].load_artifact, name), version.value)
        repository = Repository(f"{self.place}/repository.json", mode="r")
        for number in self.living():
            if self.is_needed(number):
                with warnings.catch_warnings(action="ignore"):
                    self.check(partial(repository.load_artifact, "it", version=number), self.versions[number].value)


History.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestHistory = History.TestCase
TestHistory.pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:there is no:UserWarning"),
]
