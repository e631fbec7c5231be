"""How long something takes is said once it is measured."""

import pytest

from equipoise.nn import Pace
from equipoise.run.audit.telling import Telling


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def run(seconds_a_batch, total=1000, batch=10):
    clock, said = Clock(), []
    told = Telling(said.append, "features", clock=clock).taken(total)
    for done in range(batch, total + 1, batch):
        clock.now += seconds_a_batch
        told(done)
    return said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1.0, "98 seconds (10 a second)"), (6.0, "10 minutes (2 a second)"), (90.0, "2.5 hours (0 a second)")],
)
def test_the_time_is_said_after_the_first_batches(seconds, words):
    assert run(seconds)[0] == f"features: 1,000 pictures, about {words}"


def test_then_how_far_it_is_now_and_again():
    said = run(1.0)
    assert said[1:] == [
        "features: 320 of 1,000 pictures, 10 a second, 68 s left",
        "features: 620 of 1,000 pictures, 10 a second, 38 s left",
        "features: 920 of 1,000 pictures, 10 a second, 8 s left",
    ]


def test_what_is_short_is_not_told():
    assert run(0.05) == []


def test_another_process_that_computes_the_same_is_named():
    said = []
    Telling(said.append, "features")(Pace(0, 50, 0.0, 0.0, True))
    assert said == ["features: waiting for another process, which computes these 50 pictures"]
