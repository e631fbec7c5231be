# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Faces by sliders: the variant of 2025
#
# A public re-implementation of the lab has $k = 150$ latent units, one pass, weights made once before it, and sliders
# that change a face. A slider counts in percentiles: 50 is what half of the faces are below.
# Words such as *dark* or *female* are annotations of pictures. They are used to measure unequal error, and for
# nothing else; no number here proves that a system is fair.

# %%
import dataclasses
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt

import equipoise as eq
from equipoise import fairness, resample
from equipoise.density import active_units
from equipoise.nn import evaluating, pixels

SEED, SHOWN = 0, 3
RECIPE = eq.train.recipe("inspiredk-2025")
PASSES = 6  # one pass over the lab's 110,000 pictures has 3,400 steps, over 4,000 it has 125
RECIPE = dataclasses.replace(RECIPE, debiased=dataclasses.replace(RECIPE.debiased, epochs=PASSES))
PLACES = (
    Path("train_face.h5"),
    Path.home() / ".keras/datasets/train_face.h5",
)  # where the lab keeps its data
FACES = Path("data/faces")  # its test faces, in folders LF, LM, DF, DM
WIDGETS = "ipykernel" in sys.modules and find_spec("ipywidgets") is not None
print("Sliders that move." if WIDGETS else "No ipywidgets here, or no notebook: figures in place of sliders.")

# %% [markdown]
# ## The data
# The lab's own, if both are there: 4,000 pictures to learn from, its test faces, and other non-faces to test on.
# Else a drawn set: of the 2,000 faces 2 % have darker skin, 2 % are lit from behind. These words name
# colours and light of drawings; in the test set both are common enough to be measured.

# %%
lab = next((place for place in PLACES if place.is_file() and FACES.is_dir()), None)
if lab:
    table = eq.data.read(lab)
    print(*table.notes, sep="\n")
    sides = eq.data.split(table, fractions=(0.7, 0.0, 0.3), seed=SEED)
    some = np.random.default_rng(SEED).permutation(len(sides.train))[:4000]
    train, absent = sides.train.take(some), sides.test.take(sides.test.negatives[:2000])
    test = eq.data.ImageTable.concat([eq.data.read(FACES), absent])
    groups = test.groups("skin", "gender")
else:
    train = eq.data.planted(4000, hidden={"darker skin": 0.02, "backlit": 0.02}, seed=SEED)
    test = eq.data.planted(2000, hidden={"darker skin": 0.2, "backlit": 0.2}, seed=SEED + 1)
    groups = test.groups("hidden")
names = [name for name in groups.names if "(missing)" not in name]
faces = train.take(train.positives)
print(
    f"{len(train):,} pictures to learn from, {len(test):,} to test on; groups: {', '.join(names)}", flush=True
)


# %% [markdown]
# ## The model

# %%
fits = {method: eq.fit(train, RECIPE, method=method, seed=SEED) for method in ("debiased", "uniform")}
model = fits["debiased"].model
print(*fits.values(), sep="\n")


def encoded(network, table):
    """Means and log-variances of the codes of a table's pictures, in evaluation mode."""
    parts = np.array_split(np.arange(len(table)), 20)
    with torch.no_grad(), evaluating(network):
        found = [network.encode(pixels(torch.from_numpy(table.batch(rows)))) for rows in parts if len(rows)]
    return torch.cat([part.mean for part in found]), torch.cat([part.log_variance for part in found])


def decoded(codes):
    """What the decoder draws, uint8."""
    with torch.no_grad(), evaluating(model):
        return (255 * model.decode(codes).clamp(0, 1)).byte().permute(0, 2, 3, 1).numpy()


codes, log_variances = encoded(model, faces)
active = active_units(codes, log_variances)
units = codes.var(0).argsort(descending=True)[:SHOWN].tolist()
middle = codes.mean(0)
_, _, axes_of_codes = torch.linalg.svd(codes - middle, full_matrices=False)
directions = {f"unit {unit}": torch.eye(codes.shape[1])[unit] for unit in units}
directions |= {f"axis {number + 1}": axes_of_codes[number] for number in range(SHOWN)}
print(
    f"units that carry something: {int(active.sum())} of {len(active)}; the sliders move {', '.join(directions)}"
)


# %%
def sheet(rows, titles):
    """Rows of pictures, one below the other."""
    _, axes = plt.subplots(len(rows), 1, figsize=(9, 0.95 * len(rows)), layout="constrained", squeeze=False)
    for axis, row, title in zip(axes[:, 0], rows, titles, strict=True):
        axis.imshow(np.hstack(list(row)))
        axis.set_title(title, fontsize=9, loc="left")
        axis.axis("off")
    plt.show()


def moved(start, direction, percents):
    """Codes like `start` that stand at percentiles of the faces along a direction of length 1."""
    targets = torch.quantile(codes @ direction, torch.tensor(percents, dtype=torch.float32) / 100)
    return start + (targets - start @ direction)[:, None] * direction


def stretched(rows):
    """Many rows of pictures with one contrast for all of them, so that small changes are seen."""
    low, high = np.quantile(np.stack(rows), (0.01, 0.99))
    return [(255 * np.clip((row - low) / max(1.0, high - low), 0, 1)).astype(np.uint8) for row in rows]


PERCENTS = (1, 12, 25, 37, 50, 62, 75, 87, 99)
rows = [decoded(moved(middle, direction, PERCENTS)) for direction in directions.values()]
sheet([faces.batch(np.arange(9)), decoded(codes[:9])], ["faces", "as the model remembers them"])
sheet(stretched(rows), [f"{name}: 1 … 99 % (contrast stretched)" for name in directions])

# %% [markdown]
# A *unit* is one of the 150 numbers; an *axis* is a direction of all of them in which faces differ most. What a face is
# lies spread over many units, so one of them moves little. Now by hand: start from a face of the data (−1 leaves a
# direction as it is).

# %%
if WIDGETS:
    import ipywidgets
    from IPython.display import display

    def face(number, **percents):
        code = codes[number : number + 1]
        for name, percent in percents.items():
            if percent >= 0:
                code = moved(code[0], directions[name.replace("_", " ")], (percent,))
        images = [faces.batch([number])[0], decoded(codes[number : number + 1])[0], decoded(code)[0]]
        sheet([images], ["the face, the same as the model remembers it, moved"])

    sliders = {
        name.replace(" ", "_"): ipywidgets.IntSlider(-1, -1, 100, description=name) for name in directions
    }
    sliders["number"] = ipywidgets.IntSlider(0, 0, len(faces) - 1, description="face")
    display(ipywidgets.VBox(list(sliders.values())), ipywidgets.interactive_output(face, sliders))
    face(0, axis_1=99)  # the first axis at its far end, to begin with
else:
    changed = decoded(moved(codes[0], directions["axis 1"], PERCENTS))
    sheet([[faces.batch([0])[0], *changed]], ["face 0, its first axis moved"])

# %% [markdown]
# ## Exercise 1: what does a slider mean?
# Find the unit that goes with brightness. How well does it on faces that it was not chosen on? And what does a
# slider on the least active unit change?
# <details><summary>Answer</summary>The best of 150 units always correlates with something, so it is measured on other
# faces. Even a unit that holds up is no "brightness": it moves all that goes along with light in these pictures. The
# least active unit moves less than others; the longer a VAE learns, the more units fall silent, since each costs KL.
# </details>

# %%
test_faces = test.take(test.positives)
light = [
    np.array([one.mean() for one in table.batch(np.arange(len(table)))]) for table in (faces, test_faces)
]
links = [eq.risk.correlation(codes[:, unit].numpy(), light[0]).value for unit in range(codes.shape[1])]
best = int(np.abs(links).argmax())
print(f"unit {best}, chosen on these faces: {links[best]:+.2f}")
print("on other faces:", eq.risk.correlation(encoded(model, test_faces)[0][:, best].numpy(), light[1]))
dead = int(codes.var(0).argmin())
least = torch.eye(codes.shape[1])[dead]
for said, direction in {f"least active unit {dead}": least, **directions}.items():
    ends = decoded(moved(middle, direction, (1, 99))).astype(int)
    print(f"{said}: largest change of a pixel {np.abs(ends[1] - ends[0]).max()} of 255")

# %% [markdown]
# ## A slider over rarity
# The weight of a face says how often it is drawn. Rank all faces by it: who stands at which percentile?

# %%
weights = fits["debiased"].weights[1]
order = np.argsort(weights)
probability = eq.train.predict(model, faces)


def around(percent, count=9):
    start = round(percent / 100 * (len(order) - count))
    rows = order[start : start + count]
    times = weights[rows].mean() * len(weights)
    return faces.batch(
        rows
    ), f"{percent} %: drawn {times:.2f} times as often, mean score {probability[rows].mean():.3f}"


if WIDGETS:
    slider = ipywidgets.IntSlider(50, 0, 100, description="rarity, %")
    neighbours = ipywidgets.interactive_output(
        lambda percent: sheet(*[[one] for one in around(percent)]), {"percent": slider}
    )
    display(ipywidgets.VBox([slider]), neighbours)
sheet(*zip(*[around(percent) for percent in (0, 25, 50, 75, 100)], strict=True))

# %% [markdown]
# ## Exercise 2: weights made once, before training
# This version makes its weights before the first step, and with $\alpha = 0$. What do they follow? Compare with
# weights of the codes after training.
# <details><summary>Answer</summary>Before the first step the encoder is random: the weights follow a random projection
# of pixels. That is not nothing: light is most of what pixels say, and faces with rare light are drawn often, perhaps
# more often than by learned codes. But nothing that was learned takes part, and the name "learned latent structure"
# does not fit. With α = 0 a face alone in its bin has no upper limit but one over the number of faces.</details>

# %%
after = np.exp(resample.max_rule(codes, smoothing=0.0))
print("rank correlation of the weights before and after training:", eq.risk.correlation(weights, after))
for said, of in (("before", weights), ("after", after)):
    strength, most = resample.effective_sample_size(of), of.max() / of.mean()
    print(
        f"{said}: effective sample size {strength:.2f}, the rarest face {most:.1f} times as often as by chance"
    )
    if "hidden" in faces.attributes.column_names:
        print("  ", fairness.verdict(fairness.enrichment(of, faces.groups("hidden")), attribute="hidden"))

# %% [markdown]
# ## Exercise 3: two optimizers
# This version trains its standard CNN by Adagrad for one pass, and the DB-VAE by Adadelta. Which comparison of the two
# would tell what resampling does?
# <details><summary>Answer</summary>None: optimizer, steps, losses and sampling all differ. "uniform" changes nothing
# but sampling, "plain-same-steps" nothing but losses and sampling.</details>
#
# ## What the controls say
# The share found in the worst group where every model calls 1 % of the non-faces a face, and paired differences.

# %%
for method in ("plain", "plain-same-steps"):
    fits[method] = eq.fit(train, RECIPE, method=method, seed=SEED)
scores = {method: eq.train.predict(fitted.model, test) for method, fitted in fits.items()}
by = groups.attribute
for method, values in scores.items():
    worst = fairness.evaluate(values, test.labels, groups).worst_group[by]["at_fpr"]
    rate = worst["tpr"]
    ends = f"{100 * rate.value:.0f} [{100 * rate.low:.0f}, {100 * rate.high:.0f}] %"
    print(f"{method:20}{fits[method].steps:>6} steps   worst group {worst['group']}: {ends}")

# %%
for baseline in ("plain", "plain-same-steps", "uniform"):
    paired = fairness.compare(scores, test.labels, groups, baseline=baseline, replicates=500)
    rate = paired.differences["debiased"].worst_group[by]["at_fpr"]
    told = "better" if rate.low > 0 else "worse" if rate.high < 0 else "no measurable difference"
    ends = f"{100 * rate.value:+.2f} points [{100 * rate.low:+.2f}, {100 * rate.high:+.2f}]"
    print(f"worst group, debiased − {baseline}: {ends}: {told}")
moved_only = fairness.threshold_only(scores["uniform"], test.labels, groups, like=scores["debiased"])
own = fairness.evaluate(scores["debiased"], test.labels, groups)
for said, found in (("debiased", own), ("uniform, only its threshold moved", moved_only)):
    print(f"at 0.5, {said}: worst group {found.worst_group[by]['at_0.5']['tpr']}")
print("One seed: another one may say otherwise.")
