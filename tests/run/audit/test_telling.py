"""How long something takes is said once it is measured."""

import pytest

from equipoise.nn import Pace
from equipoise.run.audit.telling import Telling


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def run(seconds_a_batch, total=1000, batch=10, *, passes=False):
    clock, said = Clock(), []
    telling = Telling(said.append, "features", clock=clock)
    taken = telling.taken(total) if passes else None
    for done in range(batch, total + 1, batch):
        clock.now += seconds_a_batch
        rate = done / clock.now
        taken(done) if passes else telling(Pace(done, total, rate, (total - done) / rate))
    return said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.0, "98 seconds (10 a second)"),
        (6.0, "10 minutes (1.7 a second)"),
        (90.0, "2.5 hours (0.1 a second)"),
    ],
)
def test_the_time_is_said_after_the_first_batches(seconds, words):
    assert run(seconds)[0] == f"features: 1,000 pictures, about {words}"


def test_then_how_far_it_is_now_and_again():
    assert run(1.0)[1:] == [
        "features: 320 of 1,000 pictures, 10 a second, 68 s left",
        "features: 620 of 1,000 pictures, 10 a second, 38 s left",
        "features: 920 of 1,000 pictures, 10 a second, 8 s left",
    ]


def test_of_several_passes_the_share_is_told():
    assert run(1.0, passes=True) == [
        "features: about 98 seconds",
        "features: 32%, about 68 seconds left",
        "features: 62%, about 38 seconds left",
        "features: 92%, about 8 seconds left",
    ]


def test_what_is_short_is_not_told():
    assert run(0.05) == []


def test_another_process_that_computes_the_same_is_named():
    said = []
    Telling(said.append, "features")(Pace(0, 50, 0.0, 0.0, True))
    assert said == ["features: waiting for another process, which computes these 50 pictures"]
