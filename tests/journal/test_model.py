"""A model of many processes at one store: the real journal and packer, on a storage that is as bad as storages are."""

import json
import logging
from functools import partial

import pytest
from stepped import Crashed, Stage, SteppedFiles

from lazytrack import naming
from lazytrack.journal import Journal, packing
from lazytrack.journal.fold import compact
from lazytrack.progress import Progress

pytestmark = pytest.mark.slow

BATCHES = 8
PLAYS_PER_BATCH = 100
SHARED = ["shared-0", "shared-1", "shared-2"]
FIELDS = ["a", "b", "created_at"]


class LossError(AssertionError):
    """Something that was acknowledged, or that somebody has seen, is gone."""


class Truth:
    """What patches say, worked out in the plainest way there is."""

    def __init__(self, patches):
        self.deleted = {patch["record"] for patch in patches if patch.get("delete")}
        self.records = {patch["record"] for patch in patches} - self.deleted
        self.winner = {}  # (record, field) -> (at, value); an unset has no value
        for patch in patches:
            changes = {field: (patch["at"], value) for field, value in patch.get("set", {}).items()}
            changes |= dict.fromkeys(patch.get("unset", []), (patch["at"], None))
            for field, said in changes.items():
                key = patch["record"], field
                if key not in self.winner or said[0] > self.winner[key][0]:
                    self.winner[key] = said

    def fields(self):
        state = {record: {} for record in self.records}
        for (record, field), (_, value) in self.winner.items():
            if record in state and value is not None:
                state[record][field] = value
        return state

    def created(self):
        said = {record: self.winner.get((record, "created_at"), (None, None)) for record in self.records}
        return {record: None if value is None else at for record, (at, value) in said.items()}


class Reader:
    """A journal, with the time of all that it has shown."""

    def __init__(self, files):
        self.journal = Journal(files, clock=naming.LogicalClock())
        self.seen = {}
        self.deleted = set()


class Play:
    """One run of the model. Five of six are small, as tight races need few actors; the sixth has the whole cast."""

    def __init__(self, seed):
        self.small = seed % 6 > 0
        self.stage = Stage(seed, self._set_thresholds)
        self.files = SteppedFiles(self.stage, self._notice)
        self.readers = []
        self.acknowledged = []
        self.written = []  # each patch whose file is there or was; a crashed writer does not know
        self.said = {}  # (record, field, value) -> at
        self.unset = {}  # (record, field) -> the latest at
        self.troubles = []
        writers, packers = (1, 2) if self.small else (4, 3)
        self.parts = {f"writer-{n}": partial(self._write, f"writer-{n}") for n in range(writers)}
        self.parts |= {f"packer-{n}": partial(self._pack, f"packer-{n}") for n in range(packers)}
        self.parts |= {f"reader-{n}": partial(self._read, f"reader-{n}") for n in range(2)}
        # Each process has its own idea of how many are many.
        draw = self.stage.rng.choice
        self._thresholds = {name: (draw([1, 1, 2, 1000]), draw([2, 2, 2, 3])) for name in self.parts}

    def run(self):
        self._tell_history()
        self.stage.play(self.parts)
        self._judge("when all had ended")
        # Hours later somebody tidies up, twice, so that everything that may go is gone.
        for _ in range(2):
            self.stage.now += 4000
            self._append(self.readers[0], [{"record": "last", "set": {"a": f"at {self.stage.now}"}}], "tidy")
            self.readers[0].journal.pack(everything=True)
        self._judge("when all was packed")

    def _set_thresholds(self, name):
        packing.LOOSE_LOW, packing.FAN_IN = self._thresholds[name]

    # --- the actors ---

    def _tell_history(self):
        """Leave packs of an earlier time, whose originals are long gone."""
        past = self._open()
        for pack in range(self.stage.rng.randint(0, 2)):
            packing.LOOSE_LOW = 1000
            for turn in range(self.stage.rng.randint(1, 3)):
                changes = [{"record": of, "set": {f"then-{pack}-{turn}": "past"}} for of in ("history", SHARED[0])]
                self._append(past, changes, "past")
            packing.LOOSE_LOW = 1
            past.journal.pack()
        for log in self.files.paths("log"):
            self.files.take(log)

    def _write(self, me):
        reader, rng = self._open(), self.stage.rng
        for turn in range(rng.randint(2, 6) if self.small else rng.randint(10, 20)):
            try:
                change = self._draw_change(me, f"{me} {turn}")
                if rng.random() < 0.25:
                    self._refresh(reader)
                record, field = change["record"], next(iter(change.get("set", change.get("unset", FIELDS))))
                overwritten = self._at_of(record, field, reader.journal.fields(record).get(field))
                # The second record gets a field of its own, so that no file can be missed without being noticed.
                changes = [change, {"record": f"all-of-{me}", "set": {f"turn-{turn}": f"{me} {turn}"}}]
                at = self._append(reader, changes, me)
                if at <= overwritten:
                    raise LossError(f"{me} read what was said at {overwritten} and overwrote it at {at}")
            except Crashed:
                reader = self._reopen(reader)

    def _draw_change(self, me, value):
        rng = self.stage.rng
        record = rng.choice([*SHARED, *SHARED, f"own-{me}"])
        draw = rng.random()
        if draw < 0.03:
            return {"record": record, "delete": True}
        fields = rng.sample(FIELDS, rng.randint(1, len(FIELDS)))
        if draw < 0.35:
            return {"record": record, "unset": fields}
        if draw < 0.5 and len(fields) > 1:
            return {"record": record, "set": dict.fromkeys(fields[1:], value), "unset": fields[:1]}
        return {"record": record, "set": dict.fromkeys(fields, value)}

    def _pack(self, me):
        reader, rng = self._open(), self.stage.rng
        for _ in self._turns("writer", patches=6, steps=40):
            try:
                with self.stage.packing():
                    reader.journal.pack(everything=rng.random() < (0.7 if self.small else 0.25))
            except OSError as error:
                self.troubles.append(f"{me}: pack() raised {error!r}")
            except Crashed:
                reader = self._reopen(reader)

    def _read(self, me):
        reader, rng = self._open(), self.stage.rng
        for _ in self._turns("writer", "packer", patches=12, steps=5):
            try:
                self._refresh(reader)
            except Crashed:
                reader = self._reopen(reader)
            if rng.random() < 0.5:  # somebody else opens the store, to whom all of it is new
                reader = self._reopen(reader)

    def _turns(self, *others, patches, steps):
        """Yield as long as there is something to do, after a rest of so many patches or steps."""
        rng, turn = self.stage.rng, 0
        while turn < 3 if self.small else self.stage.alive(*others):
            turn += 1
            if self.small:
                self.stage.rest(rng.randrange(steps))
            enough = len(self.written) + rng.randint(1, patches)
            while not self.small and len(self.written) < enough and self.stage.alive("writer"):
                self.stage.rest(20)
            yield turn

    # --- what they do ---

    def _open(self):
        self.readers.append(Reader(self.files))
        return self.readers[-1]

    def _reopen(self, reader):
        self.readers.remove(reader)
        return self._open()

    def _append(self, reader, changes, by):
        with self.stage.packing():
            at = reader.journal.append(changes, by=by)
        self.acknowledged += [{"at": at, **change} for change in changes]
        return at

    def _refresh(self, reader):
        least = Truth(self.acknowledged)
        reader.journal.refresh()
        self._check(reader, least)

    def _notice(self, path, data):
        for patch in json.loads(data)["patches"] if path.startswith("log/") else ():
            self.written.append(patch)
            record, at = patch["record"], patch["at"]
            self.said |= {(record, field, value): at for field, value in patch.get("set", {}).items()}
            for field in patch.get("unset", ()):
                self.unset[record, field] = max(self.unset.get((record, field), ""), at)

    # --- the judge ---

    def _at_of(self, record, field, value):
        """Return when `value` was said; nothing was said at ''."""
        if value is None:
            return ""
        if (record, field, value) not in self.said:
            raise LossError(f"{record} {field} is {value!r}, which nobody has written")
        return self.said[record, field, value]

    def _check(self, reader, least):
        """Hold a reader against what was acknowledged before it read, and against what it has shown before."""
        journal, seen = reader.journal, reader.seen
        deletes = {patch["record"] for patch in self.written if patch.get("delete")}
        records = {patch["record"] for patch in self.written}
        deleted = {record for record in records if journal.is_deleted(record)}
        if not reader.deleted | least.deleted <= deleted <= deletes:
            raise LossError(f"{deleted} are deleted, rather than at least {reader.deleted | least.deleted}")
        reader.deleted |= deleted
        if any(record in journal or journal.fields(record) for record in deleted):
            raise LossError(f"some of {deleted} are deleted, and yet there")
        shown = {(of, field): value for of in records - deleted for field, value in journal.fields(of).items()}
        for key in sorted({*shown, *least.winner, *seen}):
            record, field = key
            if record in deleted:
                continue
            floor = max(least.winner.get(key, ("",))[0], seen.get(key, ""))
            at = self._at_of(record, field, shown[key]) if key in shown else self.unset.get(key, "")
            if at < floor:
                raise LossError(f"{record} {field} is what was said at {at or 'no time'}, not at {floor}")
            seen[key] = at if key in shown else floor

    def _judge(self, when):
        written = {(patch["at"], patch["record"]) for patch in self.written}
        if not {(patch["at"], patch["record"]) for patch in self.acknowledged} <= written:
            raise LossError("something was acknowledged and never written")
        truth = Truth(self.written)
        for reader in [*self.readers, Reader(self.files)]:
            reader.journal.refresh()
            self._check(reader, truth)
            holds = {record: dict(reader.journal.fields(record)) for record in truth.records}
            if holds != truth.fields():
                raise LossError(f"{when} a reader holds {holds}, not {truth.fields()}")
            if reader.journal.created() != truth.created():
                raise LossError(f"{when} a reader says {reader.journal.created()}, not {truth.created()}")
            if reader.journal.problems:
                raise LossError(f"{when} there are damaged files: {reader.journal.problems}")


class _Complaints(logging.Handler):
    def __init__(self, troubles):
        super().__init__()
        self._troubles = troubles

    def emit(self, record):
        self._troubles.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


def play(seed):
    """Run the model once, and return it; what is lost raises `LossError`."""
    run = Play(seed)
    log, complaints = logging.getLogger("lazytrack.journal.journal"), _Complaints(run.troubles)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "now", run.stage.wall_clock)
        patch.setattr(naming, "unique", run.stage.unique)
        patch.setattr(naming, "one_in", run.stage.one_in)
        patch.setattr(packing, "LOOSE_LOW", 1)
        patch.setattr(packing, "LOOSE_HIGH", 8)
        patch.setattr(packing, "FAN_IN", 8)
        patch.setattr(packing, "LOOK_EVERY", 2)
        patch.setattr(packing, "_HEAD_BYTES", 700)
        patch.setattr(log, "propagate", False)
        log.addHandler(complaints)
        try:
            run.run()
        finally:
            log.removeHandler(complaints)
    return run


@pytest.mark.parametrize("batch", range(BATCHES))
def test_nothing_that_was_acknowledged_or_seen_is_ever_lost(batch):
    runs = []
    for seed in range(batch * PLAYS_PER_BATCH, (batch + 1) * PLAYS_PER_BATCH):
        try:
            runs.append(play(seed))
        except BaseException as error:
            error.add_note(f"play({seed}) does it again")
            raise
        assert not runs[-1].troubles, f"packers that meet must not trip; play({seed}) does it again"
    # Plays in which nothing was deleted, missed or interrupted would prove nothing.
    assert sum(run.stage.removals for run in runs) > 20 * PLAYS_PER_BATCH
    assert sum(run.files.vanished for run in runs) > PLAYS_PER_BATCH
    assert sum(run.stage.crashes for run in runs) > PLAYS_PER_BATCH / 2
    assert sum(run.stage.sleeps for run in runs) > PLAYS_PER_BATCH / 4


def test_a_seed_repeats_its_play():
    first, second = play(6), play(6)
    assert first.files.calls == second.files.calls
    assert first.written == second.written


# --- code that is broken on purpose must be noticed ---


def drop_unsets(patches):
    kept = [{key: value for key, value in patch.items() if key != "unset"} for patch in compact(patches)]
    return [patch for patch in kept if not patch.keys() <= {"at", "by", "record"}]


def drop_deletes(patches):
    return [patch for patch in compact(patches) if "delete" not in patch]


def keep_the_first(patches):
    said, kept = set(), []
    for patch in sorted(patches, key=lambda patch: patch["at"]):
        fields = {field: value for field, value in patch.get("set", {}).items() if (patch["record"], field) not in said}
        said |= {(patch["record"], field) for field in fields}
        kept.append({**patch, "set": fields})
    return kept


def refresh_packs_first(journal):
    while True:
        packs = [f"packs/{name}" for name in journal.files.names("packs")]
        logs = [f"log/{name}" for name in journal.files.names("log")]
        if not journal._read(logs, packs, Progress("testing")):
            return


def refresh_once(journal):
    logs = [f"log/{name}" for name in journal.files.names("log")]
    journal._read(logs, [f"packs/{name}" for name in journal.files.names("packs")], Progress("testing"))


class HastyFiles:
    """Files that delete what a pack replaces before the pack is there."""

    def __init__(self, files):
        self._files = files

    def __getattr__(self, verb):
        return getattr(self._files, verb)

    def create(self, path, data):
        self._files.remove(json.loads(data)["replaces"])
        self._files.create(path, data)


def pack_hastily(packer, files, *, clock, init=packing.Packer.__init__):
    init(packer, HastyFiles(files), clock=clock)


SMALL = [seed for seed in range(1800) if seed % 6]
WHOLE = range(0, 1080, 6)
BROKEN = {
    "a grace of zero": (SMALL, packing, "GRACE_SECONDS", 0),
    "packs that drop unsets": (WHOLE, packing, "compact", drop_unsets),
    "packs that drop deletes": (WHOLE, packing, "compact", drop_deletes),
    "packs that keep the first value": (WHOLE, packing, "compact", keep_the_first),
    "originals deleted before their copy": (WHOLE, packing.Packer, "__init__", pack_hastily),
    "packs listed before logs": (WHOLE, Journal, "refresh", refresh_packs_first),
    "vanished files that nobody looks for": (WHOLE, Journal, "refresh", refresh_once),
    "a clock that heeds nobody": (WHOLE, naming.LogicalClock, "observe", lambda clock, at: None),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_model_notices(fault, monkeypatch):
    seeds, *broken = BROKEN[fault]
    monkeypatch.setattr(*broken)

    def loses(seed):
        try:
            play(seed)
        except LossError:
            return True
        return False

    assert any(map(loses, seeds))
