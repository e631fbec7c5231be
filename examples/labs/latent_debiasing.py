# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # De-biasing in latent space: the toy of Ramaswamy et al. (2021)
#
# A target $t$ and a protected attribute $g$ go together in the data. For each latent $z$ of a generator, find the
# nearest $z'$ that keeps the score of $t$ and flips that of $g$; in the pairs the two are then uncorrelated.
# Attributes of people, where this is used, are annotations to measure unequal error; no number here proves fairness.

# %%
import numpy as np
from matplotlib import pyplot as plt

from equipoise import fairness
from equipoise.latent import complement, fit_hyperplane, mirror

SEED, DIMENSIONS = 0, 512
SIZES, MEANS = np.array([6000, 1000, 1000, 2000]), np.array([0.1, 0.2, -0.1, -0.2])

# %% [markdown]
# ## The data
# Four Gaussian cells $(t, g)$ = (0,0), (0,1), (1,0), (1,1), unit variance, one mean in every coordinate.

# %%
rng = np.random.default_rng(SEED)
cell = rng.permutation(np.repeat(np.arange(4), SIZES))
z = rng.normal(MEANS[cell, None], 1.0, (len(cell), DIMENSIONS))
t, g = cell // 2, cell % 2
fit, check, use = slice(0, 4000), slice(4000, 5000), slice(5000, None)

# %% [markdown]
# ## Two hyperplanes
# $h(z) = w^\top z + b$ with $|w| = 1$ is a signed distance.

# %%
h_t = fit_hyperplane(z[fit], t[fit], validation=(z[check], t[check]), name="t")
h_g = fit_hyperplane(z[fit], g[fit], validation=(z[check], g[check]), name="g")
print("h_t right:", h_t.accuracy)
print("h_g right:", h_g.accuracy, "AUROC", h_g.auroc)

# %% [markdown]
# ## The complement
# $$z' = z - \frac{2\,(w_g^\top z + b_g)}{1 - (w_g^\top w_t)^2}\,\bigl(w_g - (w_g^\top w_t)\,w_t\bigr)$$

# %%
flipped = complement(z[use], h_g, keep=h_t)
print("largest change of h_t:", np.abs(h_t.distances(flipped) - h_t.distances(z[use])).max())
print("largest h_g(z') + h_g(z):", np.abs(h_g.distances(flipped) + h_g.distances(z[use])).max())

# %%
pairs, sides = np.concatenate([z[use], flipped]), np.concatenate([g[use], 1 - g[use]])
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharex=True, sharey=True, layout="constrained")
for panel, latents, groups, title in (
    (axes[0], z[use], g[use], "before: the latents"),
    (axes[1], pairs, sides, "after: latents and complements"),
):
    for side in (0, 1):
        scores = h_t.distances(latents[groups == side])
        panel.hist(scores, np.linspace(-9, 9, 50), density=True, alpha=0.5, label=f"g = {side}")
    panel.set(title=title, xlabel="h_t, signed distance in units of the latents")
axes[0].set_ylabel("density")
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# ## Exercise 1: what if the target is not kept?
# `mirror` moves along $w_g$ alone, $z - 2 h_g(z) w_g$. By how much does $h_t$ change? Answer, then run.

# %%
moved = h_t.distances(mirror(z[use], h_g)) - h_t.distances(z[use])
predicted = -2 * h_g.distances(z[use]) * (h_g.weight @ h_t.weight)
print(
    "mean |change| of h_t:",
    np.abs(moved).mean(),
    "largest error of the formula:",
    np.abs(moved - predicted).max(),
)

# %% [markdown]
# ## Exercise 2: a distance that sees no distance
# A public version of the article's "KL" bins each group on its own range. Why is that a defect?
# Compare two Gaussians three standard deviations apart; by calculation both directions together are 9.

# %%
first, second = rng.normal(0, 1, 20_000), rng.normal(3, 1, 20_000)
print("each on its own range:", fairness.score_divergence.score_divergence_own_ranges(first, second))
print("on common bins:", fairness.score_divergence.score_divergence(first, second))

# %% [markdown]
# ## What the controls say
# The scores are exact by construction. Are the *latents* now those of the other cell? All four means lie on one line:
# measure there how far the complement moves, against the distance between the two cells of one $t$. The control
# moves as far and to the same side, along each of 1,000 random directions.

# %%
line = np.ones(DIMENSIONS) / np.sqrt(DIMENSIONS)
towards = np.where(g[use] == 0, 1, -1) * np.where(t[use] == 0, 1, -1)
step = flipped - z[use]
length, needed = np.linalg.norm(step, axis=1).mean(), 0.1 * np.sqrt(DIMENSIONS)
share = (step @ line * towards).mean() / needed
directions = rng.normal(size=(1000, DIMENSIONS))
controls = length * (directions @ line) / np.linalg.norm(directions, axis=1) / needed
low, high = np.quantile(controls, [0.025, 0.975])
print(f"Moved {length:.2f} in all, {needed:.2f} needed along the true line.")
print(f"The complement goes {share:.0%} of the way; 95 % of the random directions {low:.0%} to {high:.0%}.")
if share <= high:
    print("No further than chance: exact scores are no proof of an exact edit.")
elif share < 0.5:
    print("Further than chance, but most complements stay in their own cell.")
else:
    print("Further than chance, and most of the way to the other cell.")
