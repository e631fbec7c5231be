import math

import pytest
import torch
from torch import nn

from equipoise.errors import TrainingError
from equipoise.train.watch import Watch


def watch(at_once=False, **options):
    return Watch("'plain'", None, at_once=at_once, advice="Rest.", **options)


def values(**given):
    return {name: torch.tensor(value) for name, value in given.items()}


def test_means_are_over_the_steps_that_had_a_value():
    seen = watch()
    seen.see(0, values(loss=1.0, penalty=4.0))
    seen.see(1, values(loss=3.0))
    assert seen.flush() == {"loss": 2.0, "penalty": 4.0}
    assert (seen.steps, seen.entries()) == (2, [])


def test_what_was_seen_comes_back():
    seen, again = watch(), watch()
    seen.see(5, values(loss=0.5))
    again.restore(seen.entries())
    again.see(6, values(loss=1.5))
    assert again.flush() == {"loss": 1.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_not_finite_stops_with_its_step(bad, at_once):
    seen = watch(at_once, decisive="total")
    seen.see(0, values(total=1.0, note=math.nan))  # only the total decides
    message = r"training 'plain'; got loss total .* at step 1 \(epoch 2\)\. .* Rest\."

    def go():
        seen.see(1, values(total=bad), where=" (epoch 2)")
        seen.flush()

    with pytest.raises(TrainingError, match=message):
        go()
    every = watch()
    every.see(0, values(total=1.0, note=math.nan))
    with pytest.raises(TrainingError, match="got total 1, note nan at step 0"):
        every.flush()


def test_weights_are_looked_at_too():
    network = nn.Linear(2, 2)
    watch().finite(3, network)
    with torch.no_grad():
        network.bias[1] = math.inf
    with pytest.raises(TrainingError, match="a weight that is not finite in bias at step 3"):
        watch().finite(3, nn.Linear(1, 1), network)
