"""Running histograms of features: the last samples, all of them counted, and nothing else."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.errors import InputError, NotFittedError
from equipoise.risk import Histogram
from equipoise.risk.histogram import RunningHistogram


def codes(rows, width=4, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def numpy_log_density(seen, asked, bins=5, smoothing=1e-3):
    """The lab's histogram of each dimension in double precision, and the sum over dimensions."""
    total = np.zeros(len(asked))
    for old, new in zip(seen.double().numpy().T, asked.double().numpy().T, strict=True):
        if old.min() == old.max():
            total -= np.log(bins)
            continue
        density, edges = np.histogram(old, density=True, bins=bins)
        edges[0], edges[-1] = -np.inf, np.inf
        smoothed = density + smoothing
        total += np.log(smoothed / smoothed.sum())[np.digitize(new, edges) - 1]
    return total


@pytest.mark.parametrize(("bins", "smoothing"), [(5, 1e-3), (1, 0.1), (20, 1.0)])
def test_log_density_equals_numpys(bins, smoothing):
    running = RunningHistogram(bins, 400, smoothing)
    seen = codes(300) * torch.tensor([1.0, 1e-3, 1e3, 5.0])
    running.push(seen)
    asked = 2 * codes(200, seed=1) * torch.tensor([1.0, 1e-3, 1e3, 5.0])
    np.testing.assert_allclose(
        running.log_prob(asked), numpy_log_density(seen, asked, bins, smoothing), rtol=1e-4, atol=1e-4
    )


def test_the_queue_wraps_around_and_keeps_the_last_samples():
    running, stream, asked = RunningHistogram(5, 100), codes(370), codes(50, seed=1)
    for part in stream.split(37):
        running.push(part)
    np.testing.assert_allclose(
        running.log_prob(asked), numpy_log_density(stream[-100:], asked), rtol=1e-4, atol=1e-4
    )
    assert running.position.tolist() == [370 % 100, 100]


def test_slots_that_no_sample_filled_are_never_counted():
    running, asked = RunningHistogram(5, 10_000), 5 + codes(50, seed=1)
    seen = 5 + codes(60)  # zeros would be far outside
    running.push(seen)
    np.testing.assert_allclose(running.log_prob(asked), numpy_log_density(seen, asked), rtol=1e-4, atol=1e-4)


def test_a_batch_as_long_as_the_queue_replaces_it():
    running, asked = RunningHistogram(5, 60), codes(20, seed=2)
    running.push(codes(17) + 9)
    running.push(codes(60, seed=1))
    np.testing.assert_allclose(
        running.log_prob(asked), numpy_log_density(codes(60, seed=1), asked), rtol=1e-4, atol=1e-4
    )


def test_new_samples_count_at_the_next_score():
    running, asked = RunningHistogram(5, 200), codes(20, seed=2)
    running.push(codes(100))
    before = running.log_prob(asked)
    running.push(3 * codes(100, seed=1))
    assert not torch.equal(before, running.log_prob(asked))


def test_a_feature_that_never_varied_counts_as_uniform():
    seen = codes(100)
    seen[:, 2] = 7.0
    running, without = RunningHistogram(5, 100), RunningHistogram(5, 100)
    running.push(seen)
    without.push(seen[:, [0, 1, 3]])
    asked = codes(30, seed=1)
    torch.testing.assert_close(
        running.log_prob(asked), without.log_prob(asked[:, [0, 1, 3]]) - torch.tensor(5.0).log()
    )


def test_only_the_dimensions_asked_for_are_summed():
    running, alone = RunningHistogram(5, 100), RunningHistogram(5, 100)
    running.push(codes(100))
    alone.push(codes(100)[:, 1:3])
    kept = torch.tensor([False, True, True, False])
    asked = codes(30, seed=1)
    torch.testing.assert_close(running.log_prob(asked, dimensions=kept), alone.log_prob(asked[:, 1:3]))


def test_all_features_the_same_is_an_error():
    running = RunningHistogram(5, 100)
    running.push(torch.ones(60, 3))
    with pytest.raises(InputError, match=r"features that vary; all 3 are the same in the last 60 samples"):
        running.log_prob(torch.ones(2, 3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(bad):
    running = RunningHistogram(5, 100)
    running.push(codes(60))
    broken = codes(5)
    broken[3, 1] = bad
    for use in (running.push, running.log_prob):
        with pytest.raises(InputError, match="NaN or infinity"):
            use(broken)
    wrapped = Histogram(on="inputs", queue=100)(nn.Linear(4, 2)).train()
    with pytest.raises(InputError, match="NaN or infinity"):
        wrapped(broken)


def test_another_width_is_refused():
    running = RunningHistogram(5, 100)
    running.push(codes(60))
    for use in (running.push, running.log_prob):
        with pytest.raises(InputError, match="Expected 4 features, as before; got 3"):
            use(codes(5, 3))


def test_a_queue_smaller_than_a_batch_is_refused():
    with pytest.raises(InputError, match=r"queue of 60 cannot take a batch of 61\. Make the queue longer"):
        RunningHistogram(5, 60).push(codes(61))


@pytest.mark.parametrize("settings", [(0, 100, 0.1), (513, 9999, 0.1), (5, 49, 0.1), (5, 100, 0.0)])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match="must be"):
        RunningHistogram(*settings)
    with pytest.raises(InputError, match="must be"):
        Histogram(*settings)


def test_too_few_samples_give_no_score():
    running = RunningHistogram(5, 100)
    running.push(codes(49))
    with pytest.raises(NotFittedError, match="at least 50 samples in the queue; got 49"):
        running.log_prob(codes(1))
    running.push(codes(1))
    assert running.log_prob(codes(1)).shape == (1,)


def test_forgetting_leaves_no_old_score_behind():
    running = RunningHistogram(5, 100)
    running.push(codes(100))
    running.log_prob(codes(1))
    running.forget()
    with pytest.raises(NotFittedError, match="got 0"):
        running.log_prob(codes(1))
    running.push(2 * codes(60, seed=1))
    np.testing.assert_allclose(
        running.log_prob(codes(9)), numpy_log_density(2 * codes(60, seed=1), codes(9)), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("filled", [0, 30, 250])
def test_saved_and_loaded_it_goes_on_as_before(filled):
    running, other = RunningHistogram(5, 100), RunningHistogram(5, 100)
    for part in codes(250)[:filled].split(50):
        running.push(part)
    other.push(codes(80, 2))  # of another width, and to be forgotten
    other.log_prob(codes(1, 2))
    other.load_state_dict(copy.deepcopy(running.state_dict()))
    for histogram in (running, other):
        if filled < 50:
            with pytest.raises(NotFittedError):
                histogram.log_prob(codes(1))
        histogram.push(codes(60, seed=3))
    assert torch.equal(running.log_prob(codes(9)), other.log_prob(codes(9)))


def test_a_queue_of_another_length_does_not_load():
    running = RunningHistogram(5, 100)
    running.push(codes(60))
    with pytest.raises(RuntimeError, match="size mismatch for codes"):
        RunningHistogram(5, 200).load_state_dict(running.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_another_precision_leaves_the_statistics_alone(dtype):
    running, asked = RunningHistogram(5, 100), codes(20, seed=1)
    running.push(codes(100))
    before = running.log_prob(asked)
    running.to(dtype)
    assert running.codes.dtype == running.table.dtype == torch.float32
    assert torch.equal(before, running.log_prob(asked))


@pytest.mark.parametrize("on", ["features", "inputs"])
def test_the_wrapped_models_risk_is_minus_the_log_density(on):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    wrapped = Histogram(on=on, queue=200)(model).train()
    for part in codes(200).split(50):
        wrapped(part)
    asked = codes(20, seed=1)
    with torch.no_grad():
        _, risk = wrapped.eval()(asked, return_risk=True)
        seen, wanted = (model[:2](x) if on == "features" else x for x in (codes(200), asked))
    density = numpy_log_density(seen, wanted)
    np.testing.assert_allclose(risk.representation, -density, rtol=1e-4, atol=1e-4)
    assert torch.equal(risk.raw["histogram.log_density"], -risk.representation)


def test_an_unknown_place_is_refused():
    with pytest.raises(InputError, match="on must be 'features' or 'inputs'; got 'outputs'"):
        Histogram(on="outputs")
