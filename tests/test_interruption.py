"""Signals that end a process end a run as Ctrl-C does."""

import os
import signal
import threading

import pytest

from equipoise.interruption import Terminated, stopped_by_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_an_interruption_in_the_block_and_what_it_was_after_it(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stopped, stopped_by_signals():
        os.kill(os.getpid(), number)
    assert isinstance(stopped.value, Terminated)
    assert stopped.value.number == number
    assert signal.getsignal(number) is before


def test_who_ignores_or_handles_a_signal_keeps_it():
    seen = []
    before = [
        signal.signal(signal.SIGHUP, signal.SIG_IGN),
        signal.signal(signal.SIGTERM, lambda *_: seen.append(1)),
    ]
    try:
        with stopped_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert seen == [1]


def test_blocks_within_blocks_and_other_threads():
    with pytest.raises(Terminated), stopped_by_signals(), stopped_by_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    reached = []

    def elsewhere():
        with stopped_by_signals():
            reached.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert reached == [signal.SIG_DFL]
