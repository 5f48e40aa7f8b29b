import itertools
import ntpath
import os
import posixpath
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lazytrack import naming
from lazytrack.errors import UnsafePathError
from lazytrack.naming import LogicalClock, are_logical, safe_part, safe_path

unhurried = settings(deadline=None, max_examples=200)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

AT = "20261120T082233.123456Z-k3f9x2ab"
MOMENT = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)

zones = st.builds(timezone, st.timedeltas(-23 * HOUR, 23 * HOUR))
times = st.datetimes(datetime(1, 1, 2), datetime(9998, 12, 30), timezones=zones)  # noqa: DTZ001  (bounds have no zone)
modern_times = st.datetimes(datetime(1970, 1, 2), datetime(9998, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


def logical(moment, tail="k3f9x2ab"):
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond:06d}Z-{tail}"


def clock_shows(moment):
    return patch.object(naming, "now", lambda: moment)


# --- the clock ---


def test_now_is_aware_and_in_utc():
    assert naming.now().utcoffset() == timedelta(0)


def test_a_tick_spells_the_time_and_eight_random_characters():
    with clock_shows(MOMENT):
        tick = LogicalClock().tick()
    assert tick[:24] == AT[:24]
    assert re.fullmatch("[0-9a-hjkmnp-tv-z]{8}", tick[24:])
    assert are_logical([tick])
    assert naming.logical_to_time(tick) == MOMENT


def test_ticks_rise_while_the_clock_stands_still():
    clock = LogicalClock()
    with clock_shows(MOMENT):
        ticks = [clock.tick() for _ in range(50)]
    assert [naming.logical_to_time(tick) for tick in ticks] == [
        MOMENT + timedelta(microseconds=place) for place in range(50)
    ]


def test_ticks_rise_when_the_clock_is_set_back(monkeypatch):
    clock = LogicalClock()
    monkeypatch.setattr(naming, "now", lambda: MOMENT)
    before = clock.tick()
    monkeypatch.setattr(naming, "now", lambda: MOMENT - timedelta(days=365))
    after = [clock.tick() for _ in range(3)]
    assert [before, *after] == sorted([before, *after])
    assert len({tick[:23] for tick in [before, *after]}) == 4


def test_ticks_rise_even_where_the_clock_stands_before_1970():
    clock = LogicalClock()
    with clock_shows(datetime(1969, 1, 1, tzinfo=UTC)):
        ticks = [clock.tick() for _ in range(3)]
    assert ticks == sorted(ticks)
    assert len({tick[:23] for tick in ticks}) == 3
    assert are_logical(ticks)


def test_ticks_follow_the_clock_when_it_runs():
    clock = LogicalClock()
    with clock_shows(MOMENT):
        clock.tick()
    with clock_shows(MOMENT + HOUR):
        assert naming.logical_to_time(clock.tick()) == MOMENT + HOUR


class UnhurriedClock(LogicalClock):
    """Lets other threads run before it remembers a time, so that only its lock keeps two ticks apart."""

    @property
    def _last(self):
        return self.remembered

    @_last.setter
    def _last(self, micros):
        time.sleep(0.0002)
        self.remembered = micros


def test_threads_never_get_one_time_twice_and_each_sees_its_own_rise():
    clock = UnhurriedClock()
    start = threading.Barrier(8)
    ticks = [[] for _ in range(8)]

    def run(mine):
        start.wait()
        mine.extend(clock.tick() for _ in range(10))

    threads = [threading.Thread(target=run, args=(mine,)) for mine in ticks]
    with clock_shows(MOMENT):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(mine == sorted(mine) for mine in ticks)
    assert len({tick[:23] for tick in itertools.chain(*ticks)}) == 80


@unhurried
@given(st.lists(modern_times, min_size=1, max_size=5), modern_times)
def test_a_tick_is_above_every_observed_time_and_above_all_ticks_before(observed, present):
    clock = LogicalClock()
    with clock_shows(present):
        seen = [clock.tick()]
        for moment in observed:
            at = logical(moment.replace(year=max(moment.year, 1970)), tail="zzzzzzzz")
            clock.observe(at)
            tick = clock.tick()
            assert tick > at
            assert tick > max(seen)
            seen.append(tick)


def test_observing_an_earlier_time_changes_nothing():
    clock = LogicalClock()
    with clock_shows(MOMENT):
        clock.tick()
        clock.observe(logical(MOMENT - HOUR))
        assert naming.logical_to_time(clock.tick()) == MOMENT + timedelta(microseconds=1)


@unhurried
@given(modern_times, modern_times)
def test_ticks_sort_as_the_times_they_spell(one, other):
    ticks = []
    for moment in (one, other):
        with clock_shows(moment):
            ticks.append(LogicalClock().tick())
    assert one == other or (one < other) == (ticks[0] < ticks[1])


def test_the_clock_refuses_to_run_out_and_never_hands_out_a_time_that_is_refused():
    clock = LogicalClock()
    clock.observe("99981231T235959.999998Z-k3f9x2ab")
    last = clock.tick()
    assert last.startswith("99981231T235959.999999Z-")
    assert are_logical([last])
    for _ in range(2):
        with pytest.raises(OverflowError, match="run out: some file in the store"):
            clock.tick()


CHILD_NAMES = """
import os
from lazytrack import naming
moment = naming.now()
naming.now = lambda: moment
naming.clock_at("here").tick()
reading, writing = os.pipe()
child = os.fork()
names = [naming.clock_at("here").tick() for _ in range(100)] + [naming.unique() for _ in range(100)]
if child == 0:
    os.write(writing, " ".join(names).encode())
    os._exit(0)
os.close(writing)
with os.fdopen(reading) as pipe:
    of_child = pipe.read().split(" ")
os.waitpid(child, 0)
# With the clock standing still, both hand out the same times, and only the random part tells them apart.
assert [name[:23] for name in names[:100]] == [name[:23] for name in of_child[:100]]
assert len({*names, *of_child}) == 400
"""

CHILD_LOCK = """
import os, signal, sys, threading
from lazytrack import naming
held, done = threading.Event(), threading.Event()
def hold():
    with naming.clock_at("here")._lock:
        held.set()
        done.wait()
threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    naming.clock_at("here").tick()
    os._exit(0)
_, status = os.waitpid(child, 0)
done.set()
sys.exit(abs(os.waitstatus_to_exitcode(status)))
"""


def run_python(script):
    return subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)


@needs_fork
def test_a_forked_child_repeats_no_name_of_its_parent():
    result = run_python(CHILD_NAMES)
    assert result.returncode == 0, result.stderr


@needs_fork
def test_a_forked_child_can_tick_even_if_another_thread_held_the_lock():
    result = run_python(CHILD_LOCK)
    assert result.returncode == 0, result.stderr


# --- logical times of others ---


@pytest.mark.parametrize(
    "at",
    [
        "",
        "20260230T082233.123456Z-k3f9x2ab",  # no such day
        "20261320T082233.123456Z-k3f9x2ab",
        "20260020T082233.123456Z-k3f9x2ab",
        "00000101T082233.123456Z-k3f9x2ab",
        "20261120T252233.123456Z-k3f9x2ab",
        "20261120T086033.123456Z-k3f9x2ab",
        "20261120T082260.123456Z-k3f9x2ab",
        "99990101T000000.000000Z-k3f9x2ab",  # cannot be raised
        "99991231T235959.999999Z-k3f9x2ab",
        "2026112aT082233.123456Z-k3f9x2ab",  # letters for digits
        "20261120T08223b.123456Z-k3f9x2ab",
        "20261120T082233.12345cZ-k3f9x2ab",
        "20261120T082233.a23456Z-k3f9x2ab",
        "2026-11-20T08:22:33.123Z-k3f9x2a",  # other ISO shapes of the same length
        "2026w475t082233.123456z-k3f9x2ab",
        "2026W475T082233.123456Z-k3f9x2ab",
        "20261120T082233,123456Z-k3f9x2ab",
        "20261120 082233.123456Z-k3f9x2ab",
        "20261120T08:22:33.1234Z-k3f9x2ab",
        "20261120T0822.33123456Z-k3f9x2ab",
        "20261120T082233+123456Z-k3f9x2ab",
        "20261120T082233.123456z-k3f9x2ab",
        "20261120t082233.123456Z-k3f9x2ab",
        "20261120T082233.123456Z-K3F9X2AB",
        "20261120T082233.123456Z_k3f9x2ab",
        "20261120T082233.123456Z-k3f9x2a/",
        "20261120T082233.123456Z-k3f9x2a",
        "20261120T082233.123456Z-k3f9x2abc",
        "20261120T082233.123456Z-k3f9x2a\n",
        " 20261120T082233.123456Z-k3f9x2a",
        "٢٠٢٦1120T082233.123456Z-k3f9x2ab",  # noqa: RUF001  (digits, but not ASCII's)
        "２０261120T082233.123456Z-k3f9x2ab",  # noqa: RUF001  (the same)
        "20261120T082233.123456Z-k3f9x2aé",
        "20261120T082233.123456Z-k3f9x2\ud800b",
    ],
)
def test_what_is_no_logical_time_is_refused_alone_and_among_others(at):
    assert not are_logical([at])
    assert not are_logical([AT, at])
    assert not are_logical([at, AT, AT])


def test_logical_times_are_accepted_alone_and_together():
    assert are_logical([])
    assert are_logical([AT])
    assert are_logical([AT, "20240229T000000.000000Z-00000000", "99981231T235959.999999Z-zzzzzzzz"])


def is_logical(at):
    """Tell the slow way."""
    if not re.fullmatch(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-z]{8}", at) or at > "9999":
        return False
    try:
        datetime.strptime(at[:22], "%Y%m%dT%H%M%S.%f")  # noqa: DTZ007  (only whether there is such a time)
    except ValueError:
        return False
    return True


@unhurried
@given(st.lists(st.from_regex(r"[0-9]{4}[01][0-9][0-3][0-9]T[0-2][0-9]{5}\.[0-9]{6}Z-[0-9a-z]{8}", fullmatch=True)))
def test_many_times_are_logical_where_each_one_is(ats):
    # From Python 3.14 on the hour 24 is the next day's first, and sorts as such.
    if not any(at[9:11] == "24" for at in ats):
        assert are_logical(ats) == all(map(is_logical, ats))


@unhurried
@given(st.integers(0, 31), st.characters())
def test_a_time_with_one_character_replaced_is_logical_only_where_it_still_spells_one(place, character):
    at = AT[:place] + character + AT[place + 1 :]
    assert are_logical([at]) == is_logical(at)


@unhurried
@given(st.lists(st.sampled_from([AT, AT[:24], AT[24:], AT + AT[:24], AT + AT, AT[:8], "20261120"]), max_size=5))
@example([AT + AT[:24], "20261120"])
def test_times_of_wrong_lengths_do_not_make_up_for_each_other(pieces):
    assert are_logical(pieces) == all(map(is_logical, pieces))


# --- randomness ---


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 40])
def test_unique_draws_as_many_characters_as_asked_for(length):
    assert re.fullmatch(f"[{naming.ALPHABET}]{{{length}}}", naming.unique(length))


def test_unique_draws_do_not_repeat_and_use_the_whole_alphabet_at_each_place():
    draws = [naming.unique() for _ in range(3000)]
    assert len(set(draws)) == 3000
    assert all(set(place) == set(naming.ALPHABET) for place in zip(*draws, strict=True))


def test_the_alphabet_sorts_as_the_digits_it_spells_and_has_none_that_look_alike():
    assert sorted(naming.ALPHABET) == list(naming.ALPHABET)
    assert len(set(naming.ALPHABET)) == 32
    assert not set("ilou") & set(naming.ALPHABET)


@pytest.mark.parametrize("odds", [1, 2, 4, 16, 256])
def test_one_in_says_yes_one_time_in_so_many(odds, monkeypatch):
    drawn = iter(range(256))
    monkeypatch.setattr(os, "urandom", lambda length: bytes([next(drawn)]))
    assert sum(naming.one_in(odds) for _ in range(256)) == 256 // odds


# --- times people see ---


@unhurried
@given(times)
@example(datetime(5, 1, 1, tzinfo=UTC))
@example(datetime(999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
@example(datetime(2026, 1, 1, tzinfo=timezone(9 * HOUR)))
def test_iso_spells_every_time_exactly_in_one_shape_of_utc(moment):
    spelled = naming.iso(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", spelled, re.ASCII)
    assert datetime.fromisoformat(spelled) == moment


@unhurried
@given(times)
@example(datetime(5, 1, 1, tzinfo=UTC))
def test_a_stamp_is_fourteen_digits_of_utc(moment):
    assert re.fullmatch(r"\d{14}", naming.stamp(moment), re.ASCII)
    assert naming.stamp(moment) == re.sub(r"\D", "", naming.iso(moment))[:14]


def test_a_stamp_of_another_zone_shows_utc():
    assert naming.stamp(datetime(2026, 11, 20, 1, 30, tzinfo=timezone(2 * HOUR))) == "20261119233000"


# --- slugs ---


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("baseline", "baseline"),
        ("My Baseline", "my-baseline"),
        ("v1.2.3", "v1-2-3"),
        ("a/b\\c", "a-b-c"),
        ("Größe", "grosse"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "experiment"),
        ("  --  ", "experiment"),
        ("...", "experiment"),
        ("🚀🔥", "experiment"),
        ("🚀 run", "run"),
    ],
)
def test_a_slug_is_what_ascii_can_say_of_a_name(name, slug):
    assert naming.slug(name, "experiment") == slug


def test_a_slug_of_five_thousand_characters_is_short():
    assert naming.slug("a" * 5000, "experiment") == "a" * naming.SLUG_LENGTH
    assert naming.slug("word " * 1000, "experiment") == "-".join(["word"] * 16)
    assert naming.slug("🚀" * 5000, "experiment") == "experiment"


@unhurried
@given(st.text(max_size=120))
@example("模型-1")
@example("½ Привет")
def test_every_slug_is_lower_case_ascii_without_dots(name):
    slug = naming.slug(name, "experiment")
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", slug)
    assert len(slug) <= naming.SLUG_LENGTH


def test_two_records_of_one_name_and_second_differ():
    one, other = (naming.record_slug("baseline", MOMENT) for _ in range(2))
    assert re.fullmatch(r"baseline-20261120082233-[0-9a-z]{8}", one)
    assert one != other


# --- parts of paths ---

SAFE = re.compile("[a-z0-9_-]([a-z0-9._-]*[a-z0-9_-])?")
WINDOWS_NAMES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    port + digit for port in ("com", "lpt") for digit in "123456789¹²³"
}
UNSAFE = [
    "a b",
    "A-b",
    "a-B",
    "con",
    "CON",
    "CON.txt",
    "con.tar.gz",
    "nul",
    "aux.",
    "com1",
    "COM¹",
    "lpt9.log",
    "con .txt",
    "dot.",
    "space ",
    " space",
    ".hidden",
    "..",
    ".",
    "",
    " ",
    "nul\0byte",
    "line\nbreak",
    "a/b",
    "a\\b",
    "C:",
    "a:b",
    "a*b?c",
    "🚀",
    "é",
    "e\u0301",
    "\ud800",
    "\udfff.txt",
    "x" * 5000,
    "x" * 61,
    "🚀" * 5000,
    "." * 5000,
    "a." + "b" * 5000,
]


def reserved_on_windows(part):
    return part.split(".", 1)[0].rstrip(" ").lower() in WINDOWS_NAMES


def assert_safe(part):
    assert SAFE.fullmatch(part)
    assert not reserved_on_windows(part)
    assert len(part) <= 90


@pytest.mark.parametrize("name", ["model", "a-b", "a_b", "v1.2", "2026", "_x", "a..b", "x" * 60, "console", "com10"])
def test_a_safe_name_stays_as_it_is(name):
    assert safe_part(name) == name


@pytest.mark.parametrize("name", UNSAFE, ids=lambda name: ascii(name[:12]))
def test_an_unsafe_name_becomes_a_safe_part(name):
    assert safe_part(name) != name
    assert_safe(safe_part(name))


@pytest.mark.parametrize("name", ["a b", "🚀", "CON.txt", "x" * 5000], ids=["space", "emoji", "reserved", "long"])
def test_a_part_depends_on_its_name_alone(name, monkeypatch):
    before = safe_part(name)
    monkeypatch.setattr(os, "urandom", lambda length: pytest.fail("a part of a path was drawn at random"))
    monkeypatch.setattr(naming, "now", lambda: pytest.fail("a part of a path came from the clock"))
    assert safe_part(name) == before


def test_the_parts_of_a_name_are_the_same_on_every_machine_for_ever():
    assert safe_part("a b") == "a-b-c8687a08aa5d"
    assert safe_part("CON.txt") == "con-09c8cc7edcae.txt"
    assert safe_part("") == "e3b0c44298fc"


def test_names_that_differ_only_by_case_or_separator_are_different_parts():
    names = ["a b", "a-b", "A-b", "a_b", "a-B", "A B", "a.b", "A_b", "a  b", "a b "]
    assert len({safe_part(name).casefold() for name in names}) == len(names)


def test_names_that_only_unicode_tells_apart_are_different_parts():
    names = ["é", "e\u0301", "ﬁ", "fi", "K", "\u212a", "k", "ß", "ss", "ẞ"]
    assert len({safe_part(name) for name in names}) == len(names)


def test_a_short_suffix_stays_a_suffix():
    assert safe_part("ROC Curve.png").endswith(".png")
    assert safe_part("Model.tar.gz").endswith(".gz")
    assert safe_part(".gitignore").endswith(".gitignore")
    assert "." not in safe_part("Mr. Jones")


anything = st.one_of(
    st.text(alphabet=st.characters(), max_size=70),  # surrogates included
    st.text(alphabet="aAbB-_. \0/", max_size=6),
    st.sampled_from(UNSAFE),
    st.sampled_from(sorted(WINDOWS_NAMES)),
)


@unhurried
@given(anything)
def test_every_part_is_safe(name):
    assert_safe(safe_part(name))


@unhurried
@given(st.lists(anything, unique=True, max_size=30))
def test_different_names_are_different_parts_even_where_case_does_not_count(names):
    variants = {variant for name in names for variant in (name, name.upper(), name.lower(), name + " ", name + ".")}
    assert len({safe_part(name).casefold() for name in variants}) == len(variants)


@pytest.mark.parametrize("name", ["a b", "🚀", "CON.txt", ""], ids=["space", "emoji", "reserved", "empty"])
def test_a_name_that_spells_the_part_of_another_is_kept_apart_from_it(name):
    assert safe_part(safe_part(name)) != safe_part(name)


# --- whole paths ---

CLIMBING = [
    "",
    ".",
    "./",
    "./.",
    "..",
    "../x",
    "a/../x",
    "a/..",
    "..\\x",
    "a\\..\\..\\x",
    "a/..\\x",
    "/x",
    "//host/share/x",
    "\\x",
    "\\\\host\\share\\x",
    "\\\\?\\C:\\x",
    "C:",
    "C:x",
    "C:/x",
    "c:\\x",
    "a\0b",
    "a/\0",
]


@pytest.mark.parametrize("path", CLIMBING, ids=ascii)
def test_a_path_that_could_leave_its_folder_is_refused(path):
    for check in (naming.check_inside, safe_path):
        with pytest.raises(UnsafePathError, match="is not inside the store") as caught:
            check(path)
        assert repr(path) in str(caught.value)
        assert "plots/roc.png" in str(caught.value)


def test_a_refused_path_of_five_thousand_characters_is_shown_in_part():
    with pytest.raises(UnsafePathError) as caught:
        safe_path("/" + "x" * 5000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "path",
    ["roc.png", "plots/roc.png", "plots/2026/ROC Curve.png", "Größe/模型 🚀.bin", "a..b/c...d", "a#b%20c&d/e=f"],
)
def test_sub_folders_and_names_that_every_system_takes_are_kept(path):
    naming.check_inside(path)
    assert safe_path(path) == path


@pytest.mark.parametrize(
    ("path", "same"), [("a//b", "a/b"), ("./a/./b", "a/b"), ("a\\b", "a/b"), ("a/b/", "a/b"), ("a/.", "a")]
)
def test_a_path_is_spelled_one_way(path, same):
    naming.check_inside(path)
    assert safe_path(path) == same


NOT_PORTABLE = [
    "con",
    "CON.txt",
    "nul.tar.gz",
    "Com1.log",
    "LPT9",
    "aux ",
    "con .txt",
    "NUL  .tar.gz",
    "conin$",
    "CONOUT$.txt",
    "com²",
    "a:b",
    "a*b",
    "what?",
    "a|b",
    "<a>",
    'a"b',
    "trailing.",
    "trailing ",
    "...",
    ".. ",
    "tab\tbed",
    "\x7f",
    "x" * 201,
    "é" * 101,
    "\ud800",
]


@pytest.mark.parametrize("part", NOT_PORTABLE, ids=lambda part: ascii(part[:12]))
def test_a_part_that_some_system_does_not_take_is_spelled_safely(part):
    before, spelled, after = safe_path(f"Plots/{part}/Roc.png").split("/")
    assert (before, after) == ("Plots", "Roc.png")
    assert spelled != part
    assert_safe(spelled)


def test_two_parts_that_are_spelled_safely_stay_different():
    assert len({safe_path(f"plots/{part}") for part in ["a:b", "a*b", "a?b", "A:b", "con", "CON"]}) == 6


def inside(path):
    """Tell whether a path stays below the folder it is joined to, on POSIX and on Windows."""
    return all(
        system.normpath(system.join(folder, path)).startswith(folder + system.sep)
        for system, folder in ((posixpath, "/store"), (ntpath, "C:\\store"))
    )


paths = st.one_of(
    st.text(alphabet="aC0é./\\: \0", max_size=10),
    st.text(alphabet=st.characters(), max_size=10),
    st.lists(st.sampled_from(["a", "..", ".", "", "C:", "0:", "...", ".. ", "con", "~", "b c", "?"])).map("/".join),
)


@settings(unhurried, max_examples=500)
@given(paths)
@example("0:x")
@example("é:x")
@example("~/x")
def test_what_passes_the_check_never_leaves_the_folder(path):
    try:
        naming.check_inside(path)
    except UnsafePathError:
        return
    assert inside(path)


@settings(unhurried, max_examples=500)
@given(paths)
@example("./C:/x")
@example("a/C:x")
@example("0:x")
def test_a_safe_path_never_leaves_the_folder_and_every_system_takes_its_parts(path):
    try:
        safe = safe_path(path)
    except UnsafePathError:
        return
    assert inside(safe)
    assert safe_path(safe) == safe
    for part in safe.split("/"):
        assert part not in {"", ".", ".."}
        assert not part.endswith((".", " "))
        assert not reserved_on_windows(part)
        assert not set(part) & set('<>:"\\|?*\0')
        assert len(part.encode()) <= 255


def test_each_store_has_a_clock_of_its_own_in_a_process():
    here, there = naming.clock_at("one store"), naming.clock_at("another store")
    assert naming.clock_at("one store") is here
    here.observe("99981231T235959.999999Z-zzzzzzzz")
    with pytest.raises(OverflowError):
        here.tick()
    assert there.tick() < "9998"
