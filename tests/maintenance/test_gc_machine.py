"""A random history of a project and a repository, with collections in between: nothing that can be loaded is lost."""

import warnings
from contextlib import contextmanager
from datetime import timedelta

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
VALUES = st.sampled_from([[1], [2], "some longer text", {"a": "dict"}])
LIVES = st.sampled_from([None, None, None, "1h", "30h", "90d"])
WHO = st.sampled_from(["first", "second"])
WHEN = st.sampled_from([("append", 1), ("append", 2), ("refresh", 1), ("refresh", 2), ("remove", 1)])
"""Before which call of a collection something else happens: its notes, its looks, its deletions."""
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
        self.projects, self.repositories = {}, {}
        for who in ("first", "second"):
            self.reopen(who)
        self.projects["first"].save()
        self.repositories["first"].save()
        self.experiments: dict[str, dict[str, Version]] = {}
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
            exp.log_artifact("it", value, expiry=life)
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
        exp.log_artifact("it", value, overwrite=True, expiry=life)
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

    @precondition(lambda self: self.experiments)
    @rule(who=WHO, data=st.data())
    def promote(self, who, data):
        slug = data.draw(st.sampled_from(list(self.experiments)))
        project, repository = self.projects[who], self.repositories[who]
        project.refresh()
        its = self.experiments[slug]["it"]
        if its.expiry is not None and its.expiry <= naming.now():
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
        repository.log_artifact("it", value, expiry=life)
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

    # --- what has to be ---

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
                if version.expiry is None or version.expiry > naming.now():
                    assert project[slug].load_artifact(name) == version.value
        repository = Repository(f"{self.place}/repository.json", mode="r")
        for number in self.living():
            if self.is_needed(number):
                with warnings.catch_warnings(action="ignore"):
                    assert repository.load_artifact("it", version=number) == self.versions[number].value


History.TestCase.settings = settings(
    max_examples=80, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestHistory = History.TestCase
TestHistory.pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:there is no:UserWarning"),
]
