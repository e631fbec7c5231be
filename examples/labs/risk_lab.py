# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Three risks: the lab of 2023, and its open question
#
# Wrap a model, and beside each prediction it says how rare such a picture is (representation risk), what it has not
# learned (epistemic) and how noisy the answer itself is (aleatoric). Higher always means: trust it less. The lab
# resamples by the first two and leaves the third as a question: is there aleatoric risk in pictures of faces, and what
# should be done about it?
# Words such as *dark* or *female* are annotations of pictures. They are used to measure unequal error, and for
# nothing else; no number here proves that a system is fair.

# %%
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.nn.functional import mse_loss

import equipoise as eq
from equipoise import fairness, resample, risk
from equipoise.nn import StandardCNN, pixels

SEED, RECIPE = 0, eq.train.recipe("capsa-2023")
PLACES = (
    Path("train_face.h5"),
    Path.home() / ".keras/datasets/train_face.h5",
)  # where the lab keeps its data
FACES = Path("data/faces")  # test faces of the lab, in folders LF, LM, DF, DM

# %% [markdown]
# ## A task whose truth is known
# $x$ is triangular on $[-4, 4]$ with its peak at 2, $y = x^3/6$ with noise $\sigma(x) = 2\,e^{-(x+1)^2} + 0.2$.
# Before you run: where should each risk be high?

# %%
rng = np.random.default_rng(SEED)
x = rng.triangular(-4, 2, 4, 2000)
y = x**3 / 6 + rng.normal(0, 2 * np.exp(-((x + 1) ** 2)) + 0.2)
points, targets = (torch.tensor(values[:, None], dtype=torch.float32) for values in (x, y))
torch.manual_seed(SEED)
network = nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
methods = risk.Compose(risk.Histogram(bins=20, queue=2000, on="inputs"), risk.Ensemble(members=5), risk.MVE())
toy = methods(network, task="regression", example=points[:1]).train()
optimizer = torch.optim.Adam(toy.parameters(), lr=0.005)
for _ in range(50):
    for rows in torch.randperm(len(points)).split(100):
        prediction, extra = toy(points[rows], return_loss=True, targets=targets[rows])
        optimizer.zero_grad()
        (mse_loss(prediction, targets[rows]) + extra).backward()
        optimizer.step()

# %%
line = torch.linspace(-6, 6, 241)[:, None]
with torch.no_grad():
    prediction, told = toy.eval()(line, return_risk=True)
line = line.numpy()
figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
axes[0].plot(x, y, ".", markersize=1, alpha=0.4)
axes[0].plot(line, prediction, color="black")
axes[0].set(title="data, prediction", ylim=(-40, 40))
figure.suptitle("risks on [−6, 6]; grey: where data are", fontsize=10)
for axis, kind in zip(axes[1:], risk.KINDS, strict=True):
    axis.plot(line, getattr(told, kind))
    axis.axvspan(-4, 4, color="0.9")
    axis.set_title(kind)
axes[3].plot(line, 2 * np.exp(-((line + 1) ** 2)) + 0.2, "--", color="black", label="true σ")
axes[3].legend(frameon=False)
plt.show()

# %% [markdown]
# ## Faces, with noise of two kinds
# The lab's own data, if both are there: 3,000 pictures to learn from, its test faces, and other non-faces to test on.
# Else a drawn set: of the faces 2 % have darker skin, 2 % are lit from behind; these words name colours and light
# of drawings. Then, so that the answer to the question is known: 5 % of the training labels are flipped at random, and
# 5 % of the pictures become a *blend*, half a face and half a non-face, labelled by a coin.

# %%
lab = next((place for place in PLACES if place.is_file() and FACES.is_dir()), None)
if lab:
    table = eq.data.read(lab)
    print(*table.notes, sep="\n")
    sides = eq.data.split(table, fractions=(0.7, 0.0, 0.3), seed=SEED)
    some = np.random.default_rng(SEED).permutation(len(sides.train))[:3000]
    clean, absent = sides.train.take(some), sides.test.take(sides.test.negatives[:2000])
    test = eq.data.ImageTable.concat([eq.data.read(FACES), absent])
    groups = test.groups("skin", "gender")
else:
    clean = eq.data.planted(4000, hidden={"darker skin": 0.02, "backlit": 0.02}, seed=SEED).take(
        np.arange(3000)
    )
    test = eq.data.planted(2000, hidden={"darker skin": 0.2, "backlit": 0.2}, seed=SEED + 1)
    groups = test.groups("hidden")
names = [name for name in groups.names if "(missing)" not in name]
print(
    f"{len(clean):,} pictures to learn from, {len(test):,} to test on; groups: {', '.join(names)}", flush=True
)


def blends(table, count):
    """Half a face, half a non-face, uint8."""
    pairs = [table.batch(rng.choice(rows, count)).astype(int) for rows in (table.positives, table.negatives)]
    return (sum(pairs) // 2).astype(np.uint8)


images, labels = clean.batch(np.arange(len(clean))), clean.labels.copy()
noisy = rng.permutation(len(clean))[: len(clean) // 10]
flipped, blended = noisy[::2], noisy[1::2]
images[blended] = blends(clean, len(blended))
labels[flipped] = 1 - labels[flipped]
labels[blended] = rng.integers(0, 2, len(blended))
columns = {
    "noise": np.select(
        [np.isin(np.arange(len(clean)), rows) for rows in (flipped, blended)], ["flipped", "blend"], "none"
    ).tolist()
}
if "hidden" in clean.attributes.column_names:
    columns["hidden"] = clean.column("hidden")
train = eq.data.ImageTable.from_arrays(images, labels, columns)
unclear = blends(test, 200)


# %%
def sheet(rows, titles):
    """Rows of pictures, one below the other."""
    _, axes = plt.subplots(len(rows), 1, figsize=(9, 0.95 * len(rows)), layout="constrained", squeeze=False)
    for axis, row, title in zip(axes[:, 0], rows, titles, strict=True):
        axis.imshow(np.hstack(list(row)))
        axis.set_title(title, fontsize=9, loc="left")
        axis.axis("off")
    plt.show()


sheet(
    [train.batch(flipped[:12]), unclear[:12]], ["flipped labels: nothing to be seen", "blends: face or not?"]
)

# %% [markdown]
# ## One wrapped model
# The standard CNN, around it a histogram VAE ($k = 100$, 5 bins, the last 2,000 codes) that tells representation and
# epistemic risk, the latter as reconstruction error, and mean–variance estimation for aleatoric risk. It is trained as
# any model is; what the methods need is one more term of the loss.

# %%
methods = risk.Compose(risk.HistogramVAE(latent=100, bins=5, queue=2000, epistemic=True), risk.MVE())
wrapped = methods(
    StandardCNN(1), task="binary", example=torch.zeros(2, 3, train.image_size, train.image_size)
)
wrapped = eq.fit(train, RECIPE, model=wrapped, method="plain-same-steps", seed=SEED).model
near = risk.Neighbours()(wrapped.model, task="binary")  # a rival for representation risk
batches = [train.batch(rows) for rows in np.array_split(np.arange(len(train)), 40)]
near.fit([pixels(torch.from_numpy(batch)) for batch in batches])


def scored(images):
    """Every score by name, and whether it is called a face."""
    found, parts = {}, np.array_split(images, max(1, len(images) // 200))
    for part in parts:
        with torch.no_grad():
            logits, told = wrapped(pixels(torch.from_numpy(part)), return_risk=True)
            _, other = near(pixels(torch.from_numpy(part)), return_risk=True)
        chance = torch.sigmoid(logits.flatten().double()).clamp(1e-12, 1 - 1e-12)
        values = {kind: getattr(told, kind) for kind in risk.KINDS}
        values |= {
            "density alone": told.raw["histogram_vae.log_density"],
            "noise alone": told.raw["mve.logit_variance"],
        }
        values |= {
            "neighbours": other.representation,
            "entropy": -(chance * chance.log() + (1 - chance) * (1 - chance).log()),
        }
        for name, value in {**values, "face": chance}.items():
            found.setdefault(name, []).append(value.double().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


of_train, of_test, of_unclear = (scored(part) for part in (images, test.batch(np.arange(len(test))), unclear))

# %%
right = (of_test["face"] >= 0.5) == (test.labels == 1)
ends = {kind: risk.extremes(of_test[kind], 12) for kind in risk.KINDS}
sheet(
    [test.batch(rows) for kind in risk.KINDS for rows in (ends[kind].lowest, ends[kind].highest)],
    [f"{kind}: {end}" for kind in risk.KINDS for end in ("lowest", "highest")],
)
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
for kind in (*risk.KINDS, "entropy"):
    steps = risk.accuracy_by_decile(of_test[kind], right)
    axis.plot(range(1, 11), [rate.value for rate in steps], "--" if kind == "entropy" else "-", label=kind)
axis.set(xlabel="tenth of the test pictures, least at risk first", ylabel="accuracy")
axis.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Exercise 1: the resampling that does nothing
# The lab draws by $1/(q + 10^{-7})$, where $q$ is the density, a product over 100 units. How large is $q$?
# <details><summary>Answer</summary>Far below 10⁻⁷ for nearly every picture, so that every face gets the same weight:
# the published loop is uniform sampling by its density, and the reconstruction error moves it little. In logarithms
# nothing is lost, and the strength is a number that you choose.</details>

# %%
own = train.positives
capsa = eq.fit(train, RECIPE, seed=SEED)
published = capsa.weights[1]
chosen = resample.risk_weights(of_train["representation"][own], of_train["epistemic"][own])
with_noise = resample.risk_weights(
    of_train["representation"][own], of_train["epistemic"][own], of_train["aleatoric"][own]
)
log_density = of_train["density alone"][own]
print(f"log10 of the density, active units alone, median: {np.median(log_density) / np.log(10):.0f}")
print(f"faces whose density is above 1e-7: {(log_density > np.log(1e-7)).mean():.1%}")
for said, of in (("published", published), ("in logarithms", chosen)):
    print(f"{said}: effective sample size {resample.effective_sample_size(of):.3f} (1 = uniform)")

# %% [markdown]
# ## The open question: is there aleatoric risk here?
# Which score finds what? AUROC: 0.5 is chance, 1 is always. Entropy of the plain prediction is the control of every
# risk, and flipped labels are also sought by `label_noise`, which looks at the label.

# %%
noise = np.asarray(train.column("noise"))
faces_only = test.labels == 1
sought = {"errors": (of_test, ~right, slice(None))}
sought |= {
    name: (of_test, groups.ids == groups.names.index(name), faces_only) for name in names if name != "common"
}
both = {name: np.concatenate([of_test[name], of_unclear[name]]) for name in of_test}
sought["blends, new"] = (both, np.arange(len(both["face"])) >= len(test), slice(None))
sought["flips, learned"] = (of_train, noise == "flipped", noise != "blend")
sought["flips, new"] = (
    of_test,
    rng.random(len(test)) < 0.1,
    slice(None),
)  # labels of a tenth, turned by chance
shown = ("representation", "neighbours", "epistemic", "aleatoric", "noise alone", "entropy")
print(f"{'':20}" + "".join(f"{name:>22}" for name in shown))
for what, (scores, wanted, where) in sought.items():
    rates = [risk.detection_auroc(scores[name][where], wanted[where]) for name in shown]
    print(
        f"{what:20}"
        + "".join(
            f"{f'{r.value:.2f} [{r.low:.2f}, {r.high:.2f}]' if r.defined else r.reason:>22}" for r in rates
        )
    )
with torch.no_grad():
    hidden_layer = [wrapped.model.features(pixels(torch.from_numpy(batch))).numpy() for batch in batches]
found = risk.label_noise(np.concatenate(hidden_layer), train.labels, folds=3, seed=SEED)
print(
    "flips by label_noise:",
    risk.detection_auroc(found.score[noise != "blend"], (noise == "flipped")[noise != "blend"]),
)

# %% [markdown]
# ## Exercise 2: answer the question
# Say what the table shows: which noise can a risk of pictures see, and what should resampling do with it?
# <details><summary>Answer</summary>Yes, there is aleatoric risk, and of two kinds. <b>Noise that is seen in the
# picture</b> (blends; in real data blur, darkness, faces in part): compare "noise alone" and "aleatoric" with the
# column of entropy, which a plain prediction gives for nothing. <b>Labels flipped at random</b> leave no trace in a
# picture: on new pictures every risk is at chance. Among pictures that were learned from, the prediction stands
# between the picture and its wrong label, and that is seen, as <code>label_noise</code> sees it. More data help
# against neither. So resampling must not draw either more often, or it is learned by heart. Look at the next figures:
# which weights draw flipped labels more often than chance, and what does aleatoric risk as a brake change?</details>

# %%
for said, of in (
    ("published", published),
    ("rare and hard", chosen),
    ("the same, noise held down", with_noise),
):
    rates = fairness.enrichment(of, train.take(own).groups("noise"))
    print(
        f"{said:28}"
        + ", ".join(
            f"{name} {rate.value:.2f} [{rate.low:.2f}, {rate.high:.2f}]" for name, rate in rates.items()
        )
    )

# %% [markdown]
# ## What the controls say
# The lab's DB-VAE with its resampling, the same with uniform sampling, and the plain network with as many steps: the
# share found in the worst group where every model calls 1 % of the non-faces a face.

# %%
fits = {"debiased": capsa}
for method in ("uniform", "plain-same-steps"):
    fits[method] = eq.fit(train, RECIPE, method=method, seed=SEED)
scores = {method: eq.train.predict(fitted.model, test) for method, fitted in fits.items()}
by = groups.attribute
for method, values in scores.items():
    worst = fairness.evaluate(values, test.labels, groups).worst_group[by]["at_fpr"]
    print(f"{method:20} worst group {worst['group']}: {worst['tpr']}")
for baseline in ("uniform", "plain-same-steps"):
    paired = fairness.compare(scores, test.labels, groups, baseline=baseline, replicates=500)
    rate = paired.differences["debiased"].worst_group[by]["at_fpr"]
    said = "better" if rate.low > 0 else "worse" if rate.high < 0 else "no measurable difference"
    ends = f"{100 * rate.value:+.2f} points [{100 * rate.low:+.2f}, {100 * rate.high:+.2f}]"
    print(f"worst group, debiased − {baseline}: {ends}: {said}")
print("One seed: another one may say otherwise. Where all are near 0, nothing can be compared: train longer.")
