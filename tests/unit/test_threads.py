"""How the end of a job is noticed: by whoever waits for that job, and by whoever waits for any, each once."""

from collections.abc import Callable
from threading import Condition, Event, Lock

import pytest

from ocelog.workers.threads import Threads, interrupted

TIMEOUT = 60.0


def job() -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a job, and what lets it end."""
    may_end = Event()

    def wait() -> None:
        may_end.wait()

    return wait, may_end.set


def test_who_waits_for_one_job_takes_its_end_from_nobody() -> None:
    threads, (waits, end) = Threads(), job()
    assert threads.start_once("one", waits)
    assert not threads.start_once("one", waits)
    assert not threads.wait_for("one", 0.0)
    end()
    assert threads.wait_for("one", TIMEOUT)
    assert threads.wait(0.0), "the end of the job was taken"
    assert not threads.wait(0.0), "it was told twice"


def test_the_end_of_another_job_is_not_waited_for() -> None:
    threads, (waits, end) = Threads(), job()
    threads.start(waits)
    assert threads.wait_for("one", TIMEOUT)
    assert threads.others_than("one")
    end()
    assert threads.wait(TIMEOUT)
    assert not threads.others_than("one")


def test_a_job_that_does_not_say_that_it_goes_on_hangs() -> None:
    now = 0.0
    threads, (waits, end) = Threads(lambda: now), job()
    told, may_tell = Event(), Event()

    def goes_on() -> None:
        may_tell.wait()
        threads.went_on()
        told.set()
        waits()

    threads.start_once("detect", goes_on)
    threads.start(waits)
    now = 3599.0
    assert threads.hanging(3600) == set()
    may_tell.set()
    assert told.wait(TIMEOUT)
    now = 3600.0
    assert threads.hanging(3600) == {None}
    now = 3599.0 + 3600
    assert threads.hanging(3600) == {None, "detect"}
    end()
    assert threads.wait_for("detect", TIMEOUT)
    assert "detect" not in threads.hanging(3600)


def test_what_python_says_in_place_of_an_interruption_is_one() -> None:
    condition = Condition(Lock())

    def begins_to_wait() -> None:
        with condition:
            # As `wait` does first: Ctrl-C comes right behind it.
            condition.release()
            raise KeyboardInterrupt

    with pytest.raises(RuntimeError, match="release unlocked lock") as caught:
        begins_to_wait()
    assert interrupted(caught.value)
    assert interrupted(KeyboardInterrupt())
    assert not interrupted(RuntimeError("cannot join current thread"))
