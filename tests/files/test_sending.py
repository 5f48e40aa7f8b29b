import functools
import threading
import time
import weakref
from concurrent import futures

import pytest

from lazytrack.files import Sending
from lazytrack.progress import Progress


def sending(threads):
    return Sending(threads, Progress("testing"))


def test_with_one_thread_work_is_done_where_it_is_given():
    with sending(1) as here:
        assert here.submit(threading.get_ident).result() == threading.get_ident()


def test_with_more_threads_work_is_done_at_once():
    meeting = threading.Barrier(4)
    with sending(4) as together:
        met = [together.submit(lambda: meeting.wait(timeout=30)) for _ in range(4)]
        assert sorted(each.result() for each in met) == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", [1, 4])
def test_what_fails_is_told_to_who_asks(threads):
    def fail():
        raise OSError("full")

    with sending(threads) as some:
        failed, done = some.submit(fail), some.submit(lambda: "done")
        assert done.result() == "done"
        with pytest.raises(OSError, match="full"):
            failed.result()


def test_not_more_than_a_few_parts_wait_in_memory():
    held = []
    most = 0
    go_on = threading.Event()

    def send():
        go_on.wait(timeout=30)
        held.pop()

    with sending(16) as some:
        for number in range(10):
            if number == 3:
                go_on.set()
            some.submit(send, size=10 * 2**20)
            held.append(number)
            most = max(most, len(held))
    assert held == []
    assert most == 3


def test_one_that_is_larger_than_all_that_may_wait_is_sent_all_the_same():
    with sending(2) as some:
        assert some.submit(lambda: "first", size=2**40).result() == "first"
        assert some.submit(lambda: "second", size=2**40).result() == "second"


def test_an_interrupted_block_gives_up_what_has_not_begun():
    begun = threading.Event()
    may_end = threading.Event()

    def slow():
        begun.set()
        may_end.wait(timeout=30)

    with pytest.raises(KeyboardInterrupt), sending(2) as some:
        running = [some.submit(slow), some.submit(slow)]
        waiting = some.submit(lambda: "never")
        begun.wait(timeout=30)
        threading.Timer(0.01, may_end.set).start()
        raise KeyboardInterrupt
    assert [each.done() for each in running] == [True, True]
    assert waiting.cancelled()


def test_where_no_thread_begins_any_more_work_is_done_here(monkeypatch):
    def refuse(*_):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(futures.ThreadPoolExecutor, "submit", refuse)
    with sending(4) as late:
        assert late.submit(threading.get_ident).result() == threading.get_ident()


def test_nothing_waits_longer_than_the_block():
    ended = []
    with sending(4) as some:
        for number in range(20):
            some.submit(lambda number=number: (time.sleep(0.001), ended.append(number)))
    assert sorted(ended) == list(range(20))


def test_what_cannot_begin_in_a_thread_is_done_once(monkeypatch):
    """The pool queues work before it finds that no thread can be started."""
    submit = futures.ThreadPoolExecutor.submit

    def late_refusal(self, work):
        submit(self, work)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(futures.ThreadPoolExecutor, "submit", late_refusal)
    times = []

    def fail():
        times.append(1)
        raise OSError("full")

    with sending(2) as some:
        failed = [some.submit(fail) for _ in range(50)]
        for each in failed:
            with pytest.raises(OSError, match="full"):
                each.result(timeout=30)
    assert len(times) == 50


def test_what_failed_holds_nothing_of_what_was_to_be_sent():
    class Large:
        pass

    held = weakref.WeakSet()

    def fail(number):
        content = Large()
        held.add(content)
        raise OSError(str(number))

    with sending(4) as some:
        failed = [some.submit(functools.partial(fail, number)) for number in range(20)]
        assert [str(each.exception()) for each in failed] == [str(number) for number in range(20)]
    assert len(held) == 0
