"""Three risks on a task whose truth is known: where data are rare, where they are missing, where they are noisy.

x ~ Triangular(−4, 2, 4), y = x³/6 + N(0, σ(x)²) with σ(x) = 2·exp(−(x+1)²) + 0.2; tested on [−6, 6].

    python examples/reference_regression.py
    python examples/reference_regression.py --picture docs/pictures/reference-regression.png

The expected answer: representation risk follows one over the density of x, epistemic risk grows outside [−4, 4],
aleatoric risk follows σ with its peak at −1.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from equipoise.risk import MVE, Compose, Ensemble, Histogram, Risk, Wrapped

LEFT, MODE, RIGHT = -4.0, 2.0, 4.0
BINS = 20


def density(x: np.ndarray) -> np.ndarray:
    """Of the training inputs; 0 outside [−4, 4]."""
    rising = (x - LEFT) / ((RIGHT - LEFT) * (MODE - LEFT))
    falling = (RIGHT - x) / ((RIGHT - LEFT) * (RIGHT - MODE))
    return 2 * np.clip(np.minimum(rising, falling), 0, None)


def noise(x: np.ndarray) -> np.ndarray:
    """σ, in the unit of y."""
    return 2 * np.exp(-((x + 1) ** 2)) + 0.2


def training_data(rows: int = 2000, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs and targets, both (rows, 1)."""
    rng = np.random.default_rng(seed)
    x = rng.triangular(LEFT, MODE, RIGHT, rows)
    y = x**3 / 6 + rng.normal(0, noise(x))
    return torch.tensor(x[:, None], dtype=torch.float32), torch.tensor(y[:, None], dtype=torch.float32)


def network() -> nn.Module:
    """Any network would do."""
    return nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))


def trained(x: Tensor, y: Tensor, *, epochs: int = 80, batch: int = 100, seed: int = 0) -> Wrapped:
    """The user's own loop. What is new are the wrapping, and `+ extra`."""
    torch.manual_seed(seed)
    methods = Compose(
        Histogram(bins=BINS, queue=2000, on="inputs"), Ensemble(members=5, seed=seed), MVE(seed=seed)
    )
    model = methods(network(), task="regression", example=x[:1])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    steps = epochs * (len(x) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            prediction, extra = model(x[rows], return_loss=True, targets=y[rows])
            loss = mse_loss(prediction, y[rows]) + extra
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def asked(model: Wrapped, points: int = 241) -> tuple[np.ndarray, np.ndarray, Risk]:
    """Grid on [−6, 6], predictions, risks."""
    x = np.linspace(-6, 6, points)
    with torch.no_grad():
        prediction, risk = model(torch.tensor(x[:, None], dtype=torch.float32), return_risk=True)
    return x, prediction[:, 0].numpy(), risk


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's."""
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(ranks)[0, 1])


def numbers(x: np.ndarray, risk: Risk) -> dict[str, float]:
    """How near the answer is to the expected one."""
    inside = np.abs(x) < 4
    middle = inside & (density(x) > 0)
    epistemic, aleatoric = risk.epistemic.numpy(), risk.aleatoric.numpy()
    return {
        "representation against 1/density inside, rank correlation": rank_correlation(
            risk.representation.numpy()[middle], 1 / density(x[middle])
        ),
        "epistemic outside over inside, ratio of means": epistemic[~inside].mean() / epistemic[inside].mean(),
        "aleatoric peaks at x": x[inside][aleatoric[inside].argmax()],
        "aleatoric against σ inside, mean absolute error": np.abs(aleatoric - noise(x))[inside].mean(),
    }


def draw(data: tuple[Tensor, Tensor], x: np.ndarray, prediction: np.ndarray, risk: Risk, path: Path) -> None:
    """Four panels."""
    matplotlib.use("Agg")
    figure, panels = pyplot.subplots(4, 1, figsize=(7, 9), sharex=True, layout="constrained")
    panels[0].plot(
        *(part[:, 0].numpy() for part in data), ".", markersize=2, color="0.65", label="training data"
    )
    panels[0].plot(x, x**3 / 6, color="black", linewidth=1, linestyle="--", label="truth")
    panels[0].plot(x, prediction, color="C0", label="prediction")
    panels[0].set(ylabel="y", ylim=(-25, 25), title="The task")
    inside = density(x) > 0
    panels[1].plot(x, risk.representation, color="C1", label="representation risk")
    width = (data[0].max() - data[0].min()).item() / BINS
    panels[1].plot(
        x[inside],
        -np.log(density(x[inside]) * width),
        color="black",
        linewidth=1,
        linestyle="--",
        label="−log (true density × width of a bin)",
    )
    panels[1].set(ylabel="nats", title="Representation: how rare such inputs were")
    panels[2].plot(x, risk.epistemic, color="C2", label="epistemic risk")
    panels[2].set(ylabel="unit of y", title="Epistemic: what was not learned")
    panels[3].plot(x, risk.aleatoric, color="C3", label="aleatoric risk")
    panels[3].plot(x, noise(x), color="black", linewidth=1, linestyle="--", label="true σ")
    panels[3].set(ylabel="unit of y", xlabel="x", title="Aleatoric: noise in the data")
    for panel in panels:
        panel.axvspan(-6, -4, color="0.93")
        panel.axvspan(4, 6, color="0.93")
        panel.legend(loc="upper center" if panel is panels[1] else "upper left", frameon=False, fontsize=8)
        panel.set_xlim(-6, 6)
        panel.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--picture", type=Path, help="where to draw the figure (png or svg)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = training_data(seed=options.seed)
    model = trained(*data, seed=options.seed)
    x, prediction, risk = asked(model)
    for name, value in numbers(x, risk).items():
        print(f"{name}: {value:.2f}")
    if options.picture:
        draw(data, x, prediction, risk, options.picture)


if __name__ == "__main__":
    main()
