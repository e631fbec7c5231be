"""A bar while pictures are decoded."""

import io
import sys

import pytest

from equipoise.run.progress import decoding


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shown"), [(io.StringIO(), True), (Terminal(), False), (None, True)])
def test_no_bar_but_on_a_terminal_that_may_show_it(monkeypatch, stream, shown):
    monkeypatch.setattr(sys, "stderr", stream)
    with decoding("faces.csv", shown=shown) as tell:
        assert tell is None
    assert stream is None or stream.getvalue() == ""


def test_a_terminal_sees_the_name_and_it_steers_nothing(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with decoding("[red]faces\x1b[2J", shown=True) as tell:
        tell(3, 4)
    assert "[red]faces" in terminal.getvalue()
    assert "faces\x1b[2J" not in terminal.getvalue()
