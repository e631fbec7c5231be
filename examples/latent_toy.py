"""Latents of four Gaussian cells, paired so that the target's score says nothing about the protected attribute.

Cells (t, g) = (0,0), (0,1), (1,0), (1,1) with 6000, 1000, 1000, 2000 latents of 512 dimensions, means 0.1, 0.2, −0.1,
−0.2 in each dimension and unit variance; 4000 fit the hyperplanes, 1000 validate them, the other 5000 are paired.

    pip install 'equipoise[latent]'
    python examples/latent_toy.py
    python examples/latent_toy.py --picture docs/pictures/latent-toy.png

The expected answer: h_t is right for about 98 %, h_g for about 78 %; after pairing, the scores h_t of g = 0 and g = 1
have one and the same distribution.
"""

import argparse
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import matplotlib
import numpy as np
from matplotlib import pyplot
from scipy.stats import ks_2samp

from equipoise.latent import Hyperplane, complement, fit_hyperplane

DIMENSIONS, FIT, VALIDATE = 512, 4000, 1000
TARGET, PROTECTED = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
SIZES, MEANS = np.array([6000, 1000, 1000, 2000]), np.array([0.1, 0.2, -0.1, -0.2])
COLOURS = ("#0072B2", "#E69F00")


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latents in random order, and t and g of each."""
    rng = np.random.default_rng(seed)
    cell = rng.permutation(np.repeat(np.arange(4), SIZES))
    return rng.normal(MEANS[cell, None], 1.0, (len(cell), DIMENSIONS)), TARGET[cell], PROTECTED[cell]


def answer(seed: int = 0) -> dict[str, np.ndarray | Hyperplane]:
    """The whole use: two hyperplanes, the complements, and which group each latent of a pair counts as."""
    latents, t, g = planted(seed)
    fit, check, use = np.split(np.arange(len(latents)), [FIT, FIT + VALIDATE])
    h_t = fit_hyperplane(latents[fit], t[fit], validation=(latents[check], t[check]), name="t")
    h_g = fit_hyperplane(latents[fit], g[fit], validation=(latents[check], g[check]), name="g")
    z = latents[use]
    pairs = np.concatenate([z, complement(z, h_g, keep=h_t)])
    groups = np.concatenate([g[use], 1 - g[use]])
    return {"h_t": h_t, "h_g": h_g, "t": t[use], "g": g[use], "latents": z, "pairs": pairs, "groups": groups}


def expected_accuracy(label: np.ndarray, rows: float = FIT) -> float:
    """Accuracy of a linear rule that least squares fits to `rows` latents, by calculation.

    All four means lie on one line, along u. Least squares gives the label's slope along u, and by chance a weight
    in each of the other dimensions whose squares sum to (DIMENSIONS − 1)·s²/(rows − DIMENSIONS − 1), with s² what
    the slope leaves unexplained; as the score's noise they cost most of what h_g could know. With rows = infinity
    no such noise is left.
    """
    share, place = SIZES / SIZES.sum(), MEANS * sqrt(DIMENSIONS)
    middle, part = share @ place, share @ label
    variance = share @ (place - middle) ** 2 + 1
    slope = share @ ((place - middle) * (label - part)) / variance
    left = part * (1 - part) - slope**2 * variance
    chance = (DIMENSIONS - 1) * left / (rows - DIMENSIONS - 1)
    score = part + slope * (place - middle)
    off = np.where(label, 0.5 - score, score - 0.5) / sqrt(slope**2 + chance)
    return 1 - float(share @ [NormalDist().cdf(x) for x in off])


def numbers(found: dict) -> dict[str, float]:
    """What is printed, apart from accuracy and AUROC."""
    h_t, h_g, z, pairs = (found[name] for name in ("h_t", "h_g", "latents", "pairs"))
    # The two scores of a pair differ by rounding, 1e-15, and ranks would see that.
    before, after = h_t.distances(z).round(9), h_t.distances(pairs).round(9)
    return {
        "cosine of the weights": float(h_t.weight @ h_g.weight),
        "KS distance of h_t, before": float(ks_2samp(*(before[found["g"] == g] for g in (0, 1))).statistic),
        "KS distance of h_t, paired": float(
            ks_2samp(*(after[found["groups"] == g] for g in (0, 1))).statistic
        ),
        "correlation of h_t and h_g, before": float(np.corrcoef(before, h_g.distances(z))[0, 1]),
        "correlation of h_t and h_g, paired": float(np.corrcoef(after, h_g.distances(pairs))[0, 1]),
        "largest change of h_t": float(np.abs(h_t.distances(pairs[len(z) :]) - h_t.distances(z)).max()),
    }


def draw(found: dict, path: Path) -> None:
    """Scores of g = 0 and 1 above, both scores below; latents on the left, pairs on the right."""
    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure, axes = pyplot.subplots(
            2, 2, figsize=(8, 6.4), sharex=True, sharey="row", layout="constrained"
        )
        columns = {
            "Before: the latents": (found["latents"], found["g"], found["t"]),
            "After: latents and complements": (found["pairs"], found["groups"], np.tile(found["t"], 2)),
        }
        for column, (title, (latents, groups, targets)) in enumerate(columns.items()):
            scores, sides = found["h_t"].distances(latents), found["h_g"].distances(latents)
            above, below = axes[:, column]
            edges = np.linspace(scores.min(), scores.max(), 50)
            for g, colour in enumerate(COLOURS):
                own = scores[groups == g]
                look = (
                    {"histtype": "stepfilled", "alpha": 0.35} if g == 0 else {"histtype": "step", "lw": 1.6}
                )
                above.hist(
                    own, edges, density=True, color=colour, label=f"g = {g} (n = {len(own):,})", **look
                )
            above.set_title(title, loc="left", fontweight="bold")
            above.legend(frameon=False)
            few = np.random.default_rng(0).permutation(len(latents))[:2500]  # more would hide one another
            for t, marker in enumerate("ox"):
                for g, colour in enumerate(COLOURS):
                    own = few[(targets[few] == t) & (groups[few] == g)]
                    below.scatter(
                        scores[own], sides[own], s=9, marker=marker, c=colour, alpha=0.55,
                        linewidths=0.6 if marker == "x" else 0, label=f"t = {t}, g = {g}",
                    )  # fmt: skip
            below.axhline(0, color="#8a8f98", lw=0.8, zorder=0)
            below.axvline(0, color="#8a8f98", lw=0.8, zorder=0)
            below.set_xlabel("h_t, distance from the target's hyperplane")
        axes[0, 0].set_ylabel("density")
        axes[1, 0].set_ylabel("h_g, distance from the protected hyperplane")
        key = axes[1, 0].legend(frameon=False, markerscale=2, loc="lower right")
        for handle in key.legend_handles:
            handle.set_alpha(1)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
        pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="Balanced pairs of latents on Gaussian cells.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("latent-toy.png"))
    options = parser.parse_args()
    found = answer(options.seed)
    for name, label in (("h_t", TARGET), ("h_g", PROTECTED)):
        plane = found[name]
        print(f"{name}: accuracy {plane.accuracy}, AUROC {plane.auroc}")
        print(
            f"     by calculation: {expected_accuracy(label):.3f} from {FIT} latents, "
            f"{expected_accuracy(label, np.inf):.3f} from infinitely many"
        )
    for name, value in numbers(found).items():
        print(f"{name}: {value:.3g}")
    draw(found, options.picture)
    print(f"Picture: {options.picture}")


if __name__ == "__main__":
    main()
