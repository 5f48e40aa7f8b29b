"""Storages behind a network that fails: what succeeds is right, what fails says so, and nothing is half there."""

import asyncio
import contextlib
import itertools
import random
import re
import threading
from dataclasses import dataclass, field

import pytest
from servers.faulty import Fault, FaultyProxy

from lazytrack import Project, naming
from lazytrack.errors import SaveError
from lazytrack.files import open_files
from lazytrack.journal import packing

KINDS = ["s3", "gcs"]
WAITING = {"s3": ["s3fs.core", "aiobotocore.endpoint"], "gcs": ["gcsfs.retry"]}
"""The modules that wait before they try again."""
OPTIONS = {"s3": {}, "gcs": {"token": "anon", "project": "tests"}}
FAULTS = [fault for fault in Fault if fault is not Fault.CONFLICT]
"""Those that any request may meet; a conflict is the answer to one of several claims."""
ACTING = {Fault.LOST_ANSWER, Fault.CUT_ANSWER}
"""Those that leave the server with what it was asked for."""
PATIENCE = 100
"""So many times a save is repeated."""


class Hurried:
    """The module `asyncio` for libraries that wait before they try again: here they wait a thousandth of that time."""

    def __getattr__(self, name):
        return getattr(asyncio, name)

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / 1000)


class Storage:
    """A server and a proxy in front of it."""

    def __init__(self, kind, server, proxy):
        self.kind, self.port, self.proxy = kind, server.port, proxy
        self.direct = OPTIONS[kind] | {"endpoint_url": server.url}
        self.through = OPTIONS[kind] | {"endpoint_url": proxy.url}
        self._files = [open_files(f"{kind}://bucket", **options) for options in (self.through, self.direct)]
        self.filled = self.folder(filled=True)

    def place(self):
        """Return the URL of a folder that nobody has used yet."""
        return f"{self.kind}://bucket/{naming.unique()}/store"

    def folder(self, *, filled=False):
        """Return a new folder's files as they are seen through the proxy, and as they are."""
        name = f"{naming.unique()}/store"
        files, behind = (files.below(name) for files in self._files)
        for path, content in BEFORE.items() if filled else ():
            behind.create(path, content)
        return files, behind


@pytest.fixture(scope="module", params=KINDS)
def running(request):
    """The server, which is shared, and a proxy in front of it."""
    server = request.getfixturevalue(f"{request.param}_server")
    with FaultyProxy(server.port, kind=request.param) as proxy:
        yield Storage(request.param, server, proxy)


@pytest.fixture
def storage(running, monkeypatch):
    for module in WAITING[running.kind]:
        monkeypatch.setattr(f"{module}.asyncio", Hurried())
    running.proxy.plan = ()
    yield running
    running.proxy.plan = ()


def nth(number, fault):
    """Return the plan that one request meets a fault."""
    return [None] * number + [fault]


# --- each operation, with one fault ---

NEW = b"new" * 20_000
BEFORE = {f"log/{number}.json": bytes([65 + number]) * (30_000 + number) for number in range(3)}


@dataclass
class Operation:
    """What is done to files, what it returns, and the files that it changes; None where one is gone then."""

    act: object
    result: object = None
    changes: dict = field(default_factory=dict)


def uploaded(files, content=NEW):
    with files.open_write("log/new.json") as upload:
        upload.write(content)


def opened(files):
    with files.open_read("log/1.json") as file:
        return file.read()


def read_many(files):
    found = dict(files.read_many(BEFORE))
    for content in found.values():
        if isinstance(content, BaseException):
            raise content
    return found


OPERATIONS = {
    "create": Operation(lambda files: files.create("log/new.json", NEW), None, {"log/new.json": NEW}),
    "claim": Operation(lambda files: files.claim("log/new.json", NEW), True, {"log/new.json": NEW}),
    "claim of a taken name": Operation(lambda files: files.claim("log/0.json", NEW), False),
    "upload": Operation(uploaded, None, {"log/new.json": NEW}),
    "read": Operation(lambda files: files.read("log/1.json"), BEFORE["log/1.json"]),
    "read of a beginning": Operation(lambda files: files.read("log/1.json", limit=9), BEFORE["log/1.json"][:9]),
    "read_many": Operation(read_many, BEFORE),
    "open_read": Operation(opened, BEFORE["log/1.json"]),
    "names": Operation(lambda files: sorted(files.names("log")), ["0.json", "1.json", "2.json"]),
    "names of an empty folder": Operation(lambda files: files.names("nothing"), []),
    "stat": Operation(lambda files: files.stat("log/1.json").size, 30_001),
    "remove": Operation(
        lambda files: files.remove(["log/0.json", "log/2.json"]), None, {"log/0.json": None, "log/2.json": None}
    ),
}


def attempt(operation, files):
    """Return the error that an operation raised; None where it did all it should have."""
    try:
        result = operation.act(files)
    except OSError as error:
        raised = error
    else:
        assert result == operation.result
        return None
    assert not isinstance(raised, (FileNotFoundError, FileExistsError, PermissionError))
    return raised


def check(behind, operation, *, done):
    """Check that files are as they were, but for the changes of an operation that was done."""
    listed = behind.names("log")
    assert len(listed) == len(set(listed))
    paths = {**BEFORE, **operation.changes}
    found = {path: behind.read(path) if path.removeprefix("log/") in listed else None for path in paths}
    assert found == (paths if done else {path: BEFORE.get(path) for path in paths})


operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())


def faults(fast, slow=()):
    """Have a test run with each of these faults."""
    params = [*fast, *(pytest.param(fault, marks=pytest.mark.slow) for fault in slow)]
    return pytest.mark.parametrize("fault", params, ids=lambda fault: fault.name)


few = faults([Fault.BROKEN], [fault for fault in FAULTS if fault is not Fault.BROKEN])


@faults(FAULTS)
@operations
def test_an_operation_that_meets_one_fault_succeeds(storage, operation, fault):
    for number in itertools.count():
        files, behind = storage.folder(filled=True) if operation.changes else storage.filled
        storage.proxy.plan = nth(number, fault)
        assert attempt(operation, files) is None
        if operation.changes:
            check(behind, operation, done=True)
        if not storage.proxy.faulty:
            break
    assert number > 0


@few
@operations
def test_an_operation_on_a_storage_that_is_away_raises_and_works_when_it_is_back(storage, operation, fault):
    files, behind = storage.folder(filled=True) if operation.changes else storage.filled
    storage.proxy.plan = lambda request: fault
    assert attempt(operation, files) is not None
    assert storage.proxy.faulty
    storage.proxy.plan = ()
    check(behind, operation, done=fault in ACTING)
    assert attempt(operation, files) is None
    check(behind, operation, done=True)


@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.CONFLICT], ids=lambda fault: fault.name)
def test_what_a_storage_that_is_away_raises_names_the_place(storage, fault):
    files, _ = storage.filled
    storage.proxy.plan = lambda request: fault
    for operation in OPERATIONS.values():
        error = str(attempt(operation, files))
        assert files.url in error or any(path in error for path in BEFORE)


@faults([Fault.UNAVAILABLE, Fault.CUT_ANSWER])
def test_of_many_files_those_that_cannot_be_read_are_told_from_missing_ones(storage, fault):
    files, _ = storage.filled
    storage.proxy.plan = lambda request: fault if "1.json" in request.path else None
    found = dict(files.read_many([*BEFORE, "log/missing.json"]))
    refused = found.pop("log/1.json")
    assert isinstance(refused, OSError)
    assert not isinstance(refused, FileNotFoundError)
    assert isinstance(found.pop("log/missing.json"), FileNotFoundError)
    assert found == {path: content for path, content in BEFORE.items() if path != "log/1.json"}


# --- large files ---

PIECE = bytes(range(256)) * 4096
LARGE = b"".join(number.to_bytes(8) + PIECE[8:] for number in range(26)) + b"the end"


def upload_large(files):
    with files.open_write("large.bin") as upload:
        for first in range(0, len(LARGE), len(PIECE)):
            upload.write(LARGE[first : first + len(PIECE)])


def read_large(files):
    with files.open_read("large.bin") as file:
        return file.read()


@pytest.mark.slow
@faults(FAULTS)
def test_a_large_upload_that_meets_one_fault_is_whole_or_says_that_it_failed(storage, fault):
    for number in itertools.count():
        files, behind = storage.folder()
        storage.proxy.plan = nth(number, fault)
        with contextlib.suppress(OSError):
            upload_large(files)
            assert behind.names("") == ["large.bin"]
        assert behind.names("") == [] or read_large(behind) == LARGE
        if not storage.proxy.faulty:
            break
    assert number >= 4


@pytest.mark.slow
@pytest.mark.parametrize("after", range(5), ids="after {}".format)
@faults([Fault.UNAVAILABLE, Fault.CUT_REQUEST])
def test_a_large_upload_to_a_storage_that_goes_away_leaves_nothing(storage, fault, after):
    files, behind = storage.folder()
    coming = itertools.count()
    storage.proxy.plan = lambda request: fault if next(coming) >= after else None
    with contextlib.suppress(OSError):
        upload_large(files)
        assert not storage.proxy.faulty
    assert behind.names("") == ([] if storage.proxy.faulty else ["large.bin"])
    storage.proxy.plan = ()
    upload_large(files)
    assert read_large(behind) == LARGE


@pytest.mark.slow
@faults(FAULTS)
def test_a_large_file_that_is_read_over_a_faulty_network_is_whole(storage, fault):
    files, behind = storage.folder()
    behind.create("large.bin", LARGE)
    for number in itertools.count():
        storage.proxy.plan = nth(number, fault)
        assert read_large(files) == LARGE
        if not storage.proxy.faulty:
            break
    assert number >= 3
    storage.proxy.plan = nth(0, fault)
    assert files.read("large.bin") == LARGE
    storage.proxy.plan = nth(0, fault)
    assert dict(files.read_many(["large.bin"])) == {"large.bin": LARGE}


# --- claims ---


class Claimer:
    """Somebody who claims names over a network of their own."""

    def __init__(self, storage, proxy):
        self.proxy = proxy
        options = storage.through | {"endpoint_url": proxy.url}
        self.files = open_files(f"{storage.kind}://bucket/{naming.unique()}", **options)


@pytest.fixture(scope="module")
def claimers(running):
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(FaultyProxy(running.port, kind=running.kind)) for _ in range(8)]
        first, *others = [Claimer(running, proxy) for proxy in proxies]
        for other in others:
            other.files = type(other.files)(
                first.files.url.partition("://")[2],
                protocol=running.kind,
                connection=other.files._connection,
            )
        yield [first, *others]


def claims_at_once(claimers, path):
    """Have all claim a name at the same moment, and return what each was told, or the error."""
    start = threading.Barrier(len(claimers))
    told = [None] * len(claimers)

    def claim(number):
        start.wait()
        try:
            told[number] = claimers[number].files.claim(path, f"claimed by {number}".encode())
        except OSError as error:
            told[number] = error

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(len(claimers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def of_writes(faults):
    """Return the plan that requests meet these faults, and a conflict only where something is written."""
    coming = iter(faults)

    def plan(request):
        fault = next(coming, None)
        return None if fault is Fault.CONFLICT and request.method == "GET" else fault

    return plan


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 20))])
def test_exactly_one_wins_a_claim_whatever_becomes_of_requests_and_answers(storage, claimers, seed):
    rng = random.Random(seed)
    kinds = rng.choice([list(Fault), [Fault.LOST_ANSWER, None], [Fault.LOST_ANSWER, Fault.CONFLICT, Fault.UNAVAILABLE]])
    for claimer in claimers:
        claimer.proxy.plan = of_writes([rng.choice(kinds) for _ in range(rng.randint(0, 3))])
    path = f"claims/{naming.unique()}.json"
    told = claims_at_once(claimers, path)
    assert sorted(map(str, told)) == ["False"] * (len(claimers) - 1) + ["True"]
    for claimer in claimers:
        claimer.proxy.plan = ()
        assert claimer.files.read(path) == f"claimed by {told.index(True)}".encode()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_of_claimers_over_a_network_that_may_fail_for_ever_at_most_one_wins(storage, claimers, seed):
    rng = random.Random(seed)
    told_nothing = Fault.LOST_ANSWER, Fault.BROKEN, Fault.CUT_ANSWER
    away = [rng.random() < 0.5 for _ in claimers]
    for claimer, is_away in zip(claimers, away, strict=True):
        fault = rng.choice(told_nothing)
        claimer.proxy.plan = (lambda request, fault=fault: fault) if is_away else ()
    path = f"claims/{naming.unique()}.json"
    told = claims_at_once(claimers, path)
    assert [isinstance(answer, OSError) for answer in told] == away
    for claimer in claimers:
        claimer.proxy.plan = ()
    content = claimers[0].files.read(path)
    assert told.count(True) <= 1
    again = [claimer.files.claim(path, f"claimed by {n}".encode()) for n, claimer in enumerate(claimers)]
    assert again.count(True) == 1
    assert content == f"claimed by {again.index(True)}".encode()
    assert True not in told or told.index(True) == again.index(True)


@pytest.mark.parametrize("lost", [1, 2, 3])
@faults(sorted(ACTING, key=str))
def test_a_claim_whose_answer_was_lost_is_won(storage, fault, lost):
    files, behind = storage.folder()
    storage.proxy.plan = [fault] * lost
    assert files.claim("claims/1.json", b"mine")
    assert storage.proxy.faulty
    assert behind.read("claims/1.json") == b"mine"
    assert not files.claim("claims/1.json", b"another's")


def test_a_claim_whose_answer_and_reading_back_were_lost_is_won(storage):
    files, behind = storage.folder()
    reads = iter([Fault.LOST_ANSWER, Fault.UNAVAILABLE, Fault.CUT_ANSWER])
    writes = iter([Fault.LOST_ANSWER])
    storage.proxy.plan = lambda request: next(reads if request.method == "GET" else writes, None)
    assert files.claim("claims/1.json", b"mine")
    assert len(storage.proxy.faulty) == 4
    assert behind.read("claims/1.json") == b"mine"


def test_a_claim_whose_answers_are_all_lost_is_won_where_it_can_be_read_back(storage):
    files, behind = storage.folder()
    storage.proxy.plan = lambda request: None if request.method == "GET" else Fault.LOST_ANSWER
    assert files.claim("claims/1.json", b"mine")
    assert behind.read("claims/1.json") == b"mine"


# --- projects ---


def log_points(exp, number, steps):
    for step in steps:
        exp.log_metric("loss", number + step / 1000, step=step)


def log(exp, number):
    exp.log_parameter("number", number)
    log_points(exp, number, range(100))
    exp.log_test("women").log_metric("auc", number)
    exp.log_artifact("report", {"number": [number] * 50}, handler="json")


def again(call):
    """Call until no `OSError` is raised, and return what that returned."""
    for _ in range(PATIENCE):
        try:
            return call()
        except OSError as error:
            last = error
    raise last


def save(project):
    """Save until it succeeds."""
    for _ in range(PATIENCE):
        if (error := refusal(project)) is None:
            return
    raise error


def refusal(project):
    """Save, and return the error that was raised, if any, which names the project."""
    try:
        project.save()
    except SaveError as error:
        refused = error
    else:
        return None
    assert project.fpath in str(refused)
    return refused


def check_log(exp, number, steps=range(100)):
    assert exp.parameters == {"number": number}
    assert exp.history("loss").step == list(steps)
    assert exp.history("loss").value == [number + step / 1000 for step in steps]
    assert [test.metrics for test in exp.tests] == [{"auc": number}]
    assert exp.load_artifact("report") == {"number": [number] * 50}


def every_seventh(first, fault):
    """Return the plan that a request meets a fault, and then every seventh."""
    coming = itertools.count()
    return lambda request: fault if next(coming) % 7 == first else None


@pytest.mark.slow
@pytest.mark.parametrize("first", range(7), ids="from {} on".format)
@faults(FAULTS)
def test_a_project_that_meets_a_fault_at_every_seventh_request_keeps_all(storage, fault, first):
    url = storage.place()
    storage.proxy.plan = every_seventh(first, fault)
    project = again(lambda: Project(url, **storage.through))
    with project.log("first") as exp:
        log(exp, 1)
    save(project)
    log_points(exp, 1, range(100, 250))
    exp.log_artifact("report", {"number": [1] * 50}, handler="json", overwrite=True)
    with project.log("second") as other:
        log(other, 2)
    save(project)
    assert not exp.dirty
    reader = again(lambda: Project(url, mode="r", **storage.through))
    assert sorted(again(lambda: [exp.name for exp in reader.experiments])) == ["first", "second"]
    again(lambda: check_log(reader["first"], 1, range(250)))
    again(lambda: check_log(reader["second"], 2))
    assert len(storage.proxy.faulty) > 1
    found = Project(url, mode="r", **storage.direct)
    assert {exp.slug for exp in found.experiments} == {exp.slug, other.slug}
    check_log(found["first"], 1, range(250))
    check_log(found["second"], 2)
    assert reader.problems == found.problems == {}


@pytest.mark.parametrize("earlier", [0, 1], ids=["first save", "second save"])
@few
def test_a_save_to_a_storage_that_is_away_names_the_project_and_a_later_one_writes_all(storage, fault, earlier):
    url = storage.place()
    project = Project(url, **storage.through)
    if earlier:
        with project.log("earlier") as exp:
            log(exp, 0)
        project.save()
    with project.log("run") as exp:
        log(exp, 1)
    storage.proxy.plan = lambda request: fault
    for _ in range(2):
        with pytest.raises(SaveError, match=re.escape(project.fpath)):
            project.save()
        assert exp.dirty
    storage.proxy.plan = ()
    project.save()
    assert not exp.dirty
    found = Project(url, mode="r", **storage.direct)
    assert [exp.name for exp in found.experiments] == ["earlier"] * earlier + ["run"]
    check_log(found["run"], 1)
    assert found.problems == {}


@pytest.mark.parametrize(
    ("folder", "named"), [("artifacts", "artifact 'report' of run-"), ("series", "the history of run-")]
)
def test_a_save_that_cannot_write_one_file_saves_the_rest_and_names_what_is_dirty(s3, s3_server, folder, named):
    url, options = s3
    with FaultyProxy(s3_server.port, kind="s3") as proxy:
        project = Project(url, **options | {"endpoint_url": proxy.url})
        with project.log("run") as exp:
            log(exp, 1)
        proxy.plan = lambda request: Fault.CONFLICT if f"/{folder}/" in request.path else None
        with pytest.raises(SaveError, match=f"{re.escape(project.fpath)}: all was saved but {named}"):
            project.save()
        assert exp.dirty
        found = Project(url, mode="r", **options)
        assert found["run"].parameters == {"number": 1}
        proxy.plan = ()
        project.save()
    assert not exp.dirty
    found.refresh()
    check_log(found["run"], 1)


@few
def test_a_project_on_a_storage_that_is_away_is_never_shown_as_empty(storage, fault):
    url = storage.place()
    project = Project(url, **storage.direct)
    with project.log("run") as exp:
        log(exp, 1)
    project.save()
    reader = Project(url, mode="r", **storage.through)
    storage.proxy.plan = lambda request: fault
    for ask in (
        lambda: Project(url, mode="r", **storage.through),
        lambda: reader.experiments,
        lambda: reader["run"],
        lambda: len(reader),
        reader.refresh,
    ):
        with pytest.raises(OSError, match=r"."):
            ask()
    storage.proxy.plan = ()
    check_log(reader["run"], 1)
    assert reader.problems == {}
    project.log("another")
    project.save()
    storage.proxy.plan = lambda request: fault
    with pytest.raises(OSError, match=r"."):
        reader.refresh()
    with pytest.raises(OSError, match=r"."):
        reader["run"].load_artifact("report")
    storage.proxy.plan = ()
    reader.refresh()
    assert sorted(exp.name for exp in reader.experiments) == ["another", "run"]
    assert reader.problems == {}


# --- at random ---


class Weather:
    """The plan that one request in five meets a fault, and that the storage is away now and then."""

    def __init__(self, rng):
        self._rng, self._away, self._lock = rng, 0, threading.Lock()

    def __call__(self, request):
        with self._lock:
            if self._away:
                self._away -= 1
                return self._rng.choice([Fault.UNAVAILABLE, Fault.BROKEN, Fault.LOST_ANSWER])
            if self._rng.random() < 0.02:
                self._away = self._rng.randint(5, 60)
            return self._rng.choice(FAULTS) if self._rng.random() < 0.2 else None


@dataclass
class Known:
    """What is known to have been logged to an experiment."""

    parameters: dict = field(default_factory=dict)
    curve: dict = field(default_factory=dict)
    artifacts: dict = field(default_factory=dict)

    def add(self, other):
        self.parameters |= other.parameters
        self.curve |= other.curve
        self.artifacts |= other.artifacts


class Player:
    """A process that logs to a project; `pending` is what it has logged since it saved."""

    def __init__(self, url, options, rng, acknowledged):
        self.rng, self.acknowledged = rng, acknowledged
        self.project = again(lambda: Project(url, **options))
        self.live = {}
        self.pending = {}

    def log(self):
        exp = self.project.log(self.rng.choice("abc"))
        self.live[exp.slug] = exp
        self.pending[exp.slug] = Known()
        self.add(exp)

    def attach(self):
        if strangers := sorted(self.acknowledged.keys() - self.live.keys()):
            slug = self.rng.choice(strangers)
            self.live[slug] = again(lambda: self.project.attach(slug))
            self.add(self.live[slug])

    def add(self, exp=None):
        """Log something to an experiment of this process."""
        if exp is None:
            if not self.live:
                return
            exp = self.live[self.rng.choice(sorted(self.live))]
        known = self.pending.setdefault(exp.slug, Known())
        name = naming.unique()
        match self.rng.choice(["parameter", "points", "points", "artifact"]):
            case "parameter":
                known.parameters[name] = self.rng.random()
                exp.log_parameter(name, known.parameters[name])
            case "points":
                for _ in range(self.rng.choice([1, 10, 80, 300])):
                    step, value = next(STEPS), self.rng.random()
                    known.curve[step] = value
                    exp.log_metric("loss", value, step=step)
            case "artifact":
                known.artifacts[name] = [name] * self.rng.randint(1, 500)
                exp.log_artifact(name, known.artifacts[name], handler=self.rng.choice(["json", "pickle"]))

    def save(self):
        save(self.project)
        self.saved()

    def saved(self):
        """Take note that all that was logged is acknowledged."""
        for slug, known in self.pending.items():
            self.acknowledged.setdefault(slug, Known()).add(known)
        self.pending = {}

    def try_to_save(self):
        if refusal(self.project) is None:
            self.saved()


STEPS = itertools.count()


def check_known(project, acknowledged, *, only):
    """Check that what was acknowledged can be read, and `only` that where nothing else was logged."""
    found = {exp.slug: exp for exp in project.experiments}
    assert len(found) == len(project.experiments)
    assert found.keys() >= acknowledged.keys()
    for slug, known in acknowledged.items():
        exp = found[slug]
        history = exp.history("loss") if known.curve or "loss" in exp.history_names else None
        curve = list(zip(history.step, history.value, strict=True)) if history else []
        assert len(curve) == len({step for step, _ in curve})
        assert dict(curve).items() >= known.curve.items()
        assert exp.parameters.items() >= known.parameters.items()
        assert {artifact.name for artifact in exp.artifacts} >= known.artifacts.keys()
        if only:
            assert curve == sorted(known.curve.items())
            assert exp.parameters == known.parameters
            assert {artifact.name: exp.load_artifact(artifact.name) for artifact in exp.artifacts} == known.artifacts
    assert not only or found.keys() == acknowledged.keys()


def play(players, reader, rng, acknowledged):
    """Have some log and save at random while another reads."""
    for _ in range(50):
        player = rng.choice(players)
        match rng.choice(["log", "add", "add", "add", "attach", "save", "save", "try", "read"]):
            case "read":
                again(reader.refresh)
                again(lambda: check_known(reader, acknowledged, only=False))
            case "try":
                player.try_to_save()
            case verb:
                getattr(player, verb)()
    for player in players:
        player.save()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_what_was_acknowledged_over_a_faulty_network_is_there_exactly_once(storage, seed, monkeypatch):
    rng = random.Random(seed)
    if seed % 2:
        for name, value in {"GRACE_SECONDS": -1, "LOOK_EVERY": 3, "LOOSE_LOW": 5, "FAN_IN": 2}.items():
            monkeypatch.setattr(packing, name, value)
    url, acknowledged = storage.place(), {}
    storage.proxy.plan = Weather(rng)
    players = [Player(url, storage.through, rng, acknowledged) for _ in range(2)]
    players[0].log()
    players[0].save()
    reader = again(lambda: Project(url, mode="r", **storage.through))
    play(players, reader, rng, acknowledged)
    assert len(storage.proxy.faulty) > 10
    storage.proxy.plan = ()
    reader.refresh()
    for found in (reader, Project(url, mode="r", **storage.direct)):
        check_known(found, acknowledged, only=True)
        assert found.problems == {}
