"""Actors that share a storage and run one at a time, in an order and at times that are drawn from a seed.

Each verb of the storage first hands over to whoever is drawn next, and so do the two ends of `create`, each part of
a listing, each file of many. All of it follows from the seed: the order, the times, the crashes.

What time may do. The storage's clock moves by anything from nothing to hours at each step, with one exception: the
design assumes that no *reader's* listing takes as long as the grace, so while one is under way the clock stops short
of that. A packer's listing has no such limit. A packer may be suspended for hours anywhere: before it writes, in the
middle of a listing, between two deletes. Of what it then does not know it touches nothing, and what it copies twice
is harmless, so the design covers this and the model does not spare it. Reading files, and what lies between two
listings, may take any time, for readers too.
"""

import math
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random

from fakes import FakeFiles

LONGEST_LISTING = 599.0
"""Seconds that a reader's listing may take: less than the design's ten minutes, whatever grace a broken packer has."""
HELD_UP = 300
"""Steps for which a listing may be held up."""
_EPOCH = datetime(2026, 11, 20, tzinfo=UTC)


class Crashed(BaseException):
    """The actor's process is gone; no `except Exception` of the code under test may hold it up."""


class _Stopped(BaseException):
    """Another actor has failed, and the play is over."""


class Actor:
    """One process: its wall clock is wrong by `skew`, it has its own speed and is interrupted at its own rate."""

    def __init__(self, name: str, rng: Random) -> None:
        self.name = name
        self.skew = timedelta(seconds=rng.uniform(-200_000, 200_000))
        self.speed = rng.choice([0.2, 1, 1, 5])
        self.crash_odds = rng.choice([0, 0.002, 0.01])
        self.pause_odds = rng.choice([0, 0.05, 0.2])
        self.pause_steps = rng.choice([5, 50, 200])
        self.sleep_odds = rng.choice([0, 0, 0.002, 0.02])
        self.packing = False
        self.listing_since: float | None = None
        self.waits_for_step = 0
        self.waits_for_removal = math.inf
        self.sleeps_until = 0.0
        self.baton = threading.Lock()
        self.baton.acquire()

    def wait(self, *, step: int, removal: float = math.inf) -> None:
        self.waits_for_step = step
        self.waits_for_removal = removal


class Stage:
    """Where actors take turns; what happens next is drawn from `seed` alone.

    Parameters
    ----------
    seed
        Of all that is drawn.
    on_turn
        Is told the name of each actor whose turn it becomes.
    """

    def __init__(self, seed: int, on_turn: Callable[[str], None]) -> None:
        self.rng = Random(seed)
        self.now = 1_000_000.0
        self.steps = 0
        self.crashes = 0
        self.sleeps = 0
        self.removals = 0
        self._on_turn = on_turn
        self._burst = self.rng.choice([0, 0.8, 0.97])
        self._haste = self.rng.choice([0.005, 0.02, 0.1])
        self._current: Actor | None = None
        self._alive: list[Actor] = []
        self._over = threading.Lock()
        self._failure: BaseException | None = None

    # --- what stands in for the clock and for chance ---

    def wall_clock(self) -> datetime:
        skew = self._current.skew if self._current else timedelta()
        return _EPOCH + timedelta(seconds=self.now) + skew

    def unique(self, length: int = 8) -> str:
        return "".join(self.rng.choices("0123456789abcdefghjkmnpqrstvwxyz", k=length))

    def one_in(self, odds: int) -> bool:
        return self.rng.random() * odds < 1

    # --- the play ---

    def play(self, parts: dict[str, Callable[[], None]]) -> None:
        """Run each part as an actor of that name until all have ended; raise what the first to fail has raised."""
        self._alive = [Actor(name, self.rng) for name in parts]
        threads = [
            threading.Thread(target=self._act, args=(actor, parts[actor.name]), daemon=True) for actor in self._alive
        ]
        for thread in threads:
            thread.start()
        self._over.acquire()
        self._pass_on()
        if not self._over.acquire(timeout=120):
            raise TimeoutError("an actor does not come back")
        for thread in threads:
            thread.join()
        self._current = None
        if self._failure is not None:
            raise self._failure

    def alive(self, *roles: str) -> bool:
        """Tell whether actors of these roles are still at work."""
        return any(actor.name.startswith(roles) for actor in self._alive)

    @property
    def reading(self) -> bool:
        """Whether it is a reader's turn."""
        return self._current is not None and self._current.name.startswith("reader")

    def step(self, *, hold_up: float = 0) -> None:
        """Let time pass, and hand over to whoever is drawn next; return when it is this actor's turn again.

        With odds of `hold_up` that is only after others have done much, such as remove files.
        """
        actor, rng = self._current, self.rng
        if actor is None:  # the play is over, and the test looks at what it left
            return
        if rng.random() < actor.crash_odds:
            self.crashes += 1
            raise Crashed
        if rng.random() < hold_up:
            actor.wait(step=self.steps + HELD_UP, removal=self.removals + rng.choice([1, 5, math.inf]))
        elif rng.random() < actor.pause_odds:
            actor.wait(step=self.steps + int(rng.expovariate(1 / actor.pause_steps)))
        elif actor.packing and rng.random() < actor.sleep_odds:
            self.sleeps += 1
            actor.sleeps_until = self.now + rng.uniform(600, 4 * 3600)
        self._take_turns(actor)

    def rest(self, steps: int) -> None:
        """Let the others take some steps, as long as there are others to take them."""
        self._current.wait(step=self.steps + steps)
        self._take_turns(self._current)

    @contextmanager
    def packing(self) -> Iterator[None]:
        """Say that the actor packs: it may be suspended for hours, and the clock waits for none of its listings."""
        actor = self._current
        if actor is None:
            yield
            return
        actor.packing = True
        try:
            yield
        finally:
            actor.packing = False

    @contextmanager
    def listing(self) -> Iterator[None]:
        """Say that the actor lists; unless it packs, the clock stops short of the grace."""
        actor = self._current
        if actor is None or actor.packing:
            yield
            return
        actor.listing_since = self.now
        try:
            yield
        finally:
            actor.listing_since = None

    def _act(self, actor: Actor, part: Callable[[], None]) -> None:
        actor.baton.acquire()
        try:
            if self._failure is None:
                self._on_turn(actor.name)
                part()
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001  (it is raised in `play`)
            self._failure = self._failure or error
        self._alive.remove(actor)
        self._pass_on()

    def _take_turns(self, actor: Actor) -> None:
        self.steps += 1
        self._let_time_pass()
        if not self._pass_on():
            actor.baton.acquire()
        if self._failure is not None:
            raise _Stopped
        self._on_turn(actor.name)

    def _pass_on(self) -> bool:
        """Give the baton to an actor that is drawn, and tell whether that is the one who had it."""
        if not self._alive:
            self._over.release()
            return False
        before = self._current
        self._current = drawn = self._next()
        if drawn is before:
            return True
        drawn.baton.release()  # from here on the other one runs: nothing of the stage may be touched
        return False

    def _next(self) -> Actor:
        if self._failure is not None:
            return self._alive[0]
        awake = [actor for actor in self._alive if actor.sleeps_until <= self.now]
        if not awake:
            first = min(self._alive, key=lambda actor: actor.sleeps_until)
            self.now = first.sleeps_until  # only packers sleep, so no reader is listing
            return first
        ready = [a for a in awake if a.waits_for_step <= self.steps or a.waits_for_removal <= self.removals]
        if not ready:
            self.steps = min(actor.waits_for_step for actor in awake)
            ready = [actor for actor in awake if actor.waits_for_step == self.steps]
        if self._current in ready and self.rng.random() < self._burst:
            return self._current
        return self.rng.choices(ready, [actor.speed for actor in ready])[0]

    def _let_time_pass(self) -> None:
        draw = self.rng.random()
        if draw < self._haste:
            later = self.now + self.rng.uniform(600, 4000)
        elif draw < 10 * self._haste:
            later = self.now + self.rng.uniform(0, 120)
        else:
            later = self.now + self.rng.random()
        latest = [actor.listing_since + LONGEST_LISTING for actor in self._alive if actor.listing_since is not None]
        self.now = max(self.now, min([later, *latest]))


class SteppedFiles(FakeFiles):
    """A storage on which nothing is atomic but the single file.

    Parameters
    ----------
    stage
        Who decides.
    on_create
        Is told of each file at the moment that it is there.
    """

    def __init__(self, stage: Stage, on_create: Callable[[str, bytes], None]) -> None:
        super().__init__()
        self._stage = stage
        self._on_create = on_create
        self.vanished = 0

    def read(self, path: str, *, limit: int | None = None) -> bytes:
        self._stage.step()
        try:
            return super().read(path, limit=limit)
        except FileNotFoundError:
            self.vanished += 1
            raise

    def read_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        return super().read_many(self._shuffled(paths))

    def create(self, path: str, data: bytes) -> None:
        self._stage.step()
        self.now = self._stage.now
        super().create(path, data)
        self._on_create(path, data)
        self._stage.step()

    def names(self, folder: str) -> list[str]:
        # Losses that a wrong order or a missing grace bring about happen to readers whose listing is slow.
        stage, slow = self._stage, self._stage.reading
        parts = stage.rng.randint(1, 6 if slow else 2)
        found: list[str] = []
        stage.step(hold_up=0.4 if slow else 0)
        with stage.listing():
            for place, part in enumerate(self._shuffled(range(parts))):
                if place:
                    stage.step(hold_up=0.3 if slow and folder == "packs" else 0)
                found += [name for name in super().names(folder) if zlib.crc32(name.encode()) % parts == part]
        return self._shuffled(found)

    def stat(self, path: str):
        self._stage.step()
        return super().stat(path)

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._stage.step()
            super().remove([path])
            self._stage.removals += 1

    def _shuffled(self, items):
        items = list(items)
        self._stage.rng.shuffle(items)
        return items
