import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import DataError, InputError
from equipoise.latent import (
    Hyperplane,
    ModuleGenerator,
    attribute_scores,
    complement,
    fit_hyperplane,
    fit_hyperplanes,
    invert,
    mixed,
    pairs,
    pairs_of,
    read_pairs,
    scored_latents,
)

K, SIZE = 12, 8


class Halves(nn.Module):
    """Two attributes that are correlated in the latents: brightness of the left half and of the right half."""

    def __init__(self, cosine=0.7):
        super().__init__()
        rng = np.random.default_rng(0)
        basis = np.linalg.qr(rng.normal(size=(K, 3)))[0].T
        self.t = basis[0]
        self.g = cosine * basis[0] + np.sqrt(1 - cosine**2) * basis[1]
        self.register_buffer("directions", torch.tensor(np.stack([self.t, self.g, basis[2]])).float())

    def forward(self, latents):
        left, right, blue = torch.sigmoid(latents @ self.directions.T).T
        images = torch.empty(len(latents), 3, SIZE, SIZE)
        images[..., : SIZE // 2] = left[:, None, None, None]
        images[..., SIZE // 2 :] = right[:, None, None, None]
        images[:, 2] = 0.5 * images[:, 2] + 0.5 * blue[:, None, None]
        return images


def left(images):
    return 40 * (images[:, :2, :, : SIZE // 2].mean((1, 2, 3)) - 0.5)


def right(images):
    return 40 * (images[:, :2, :, SIZE // 2 :].mean((1, 2, 3)) - 0.5)


@pytest.fixture(scope="module")
def world():
    module = Halves()
    return ModuleGenerator(module, K), Hyperplane(module.t, 0.0, "left"), Hyperplane(module.g, 0.0, "right")


def logit(scores):
    scores = np.clip(scores, 1e-12, 1 - 1e-12)
    return np.log(scores / (1 - scores))


def sides(table):
    side = np.array(table.column("side"))
    return table.take(side == "original"), table.take(side != "original")


def test_end_to_end_the_target_stays_the_protected_flips_and_they_are_uncorrelated(world):
    pytest.importorskip("sklearn")
    generator, *_ = world
    planes = fit_hyperplanes(generator, {"left": left, "right": right}, fit=3000, validate=500)
    table = pairs(generator, planes["left"], planes["right"], 400, scorer=left)
    first, second = sides(table)
    t, g = (logit(attribute_scores(f, first)) for f in (left, right))
    t2, g2 = (logit(attribute_scores(f, second)) for f in (left, right))
    assert np.corrcoef(t, g)[0, 1] > 0.6
    assert np.abs(t2 - t).mean() < 0.1 * np.abs(t).mean()
    assert np.mean(np.sign(g2) == -np.sign(g)) > 0.97
    assert abs(np.corrcoef(np.concatenate([t, t2]), np.concatenate([g, g2]))[0, 1]) < 0.05
    # The label says nothing of the protected attribute any more.
    positive = table.labels == 1
    bright = attribute_scores(right, table) > 0.5
    assert abs(bright[positive].mean() - bright[~positive].mean()) < 0.05
    before = attribute_scores(right, first) > 0.5
    assert abs(before[first.labels == 1].mean() - before[first.labels == 0].mean()) > 0.3


def test_what_stands_in_the_table(world):
    generator, t, g = world
    table = pairs(generator, t, g, 50, scorer=left, seed=3, batch_size=16)
    assert len(table) == 100
    assert table.column("generated") == [True] * 100
    assert table.column("pair") == [i // 2 for i in range(100)]
    assert table.column("side") == ["original", "complement"] * 50
    scores = np.array(table.column("target_score"))
    np.testing.assert_array_equal(scores, attribute_scores(left, table))  # of the pictures as stored
    np.testing.assert_array_equal(table.labels[::2], table.labels[1::2])
    np.testing.assert_array_equal(table.labels[::2], scores[::2] >= 0.5)
    assert len(np.unique(table.digests)) > 90
    more = pairs(generator, t, g, 50, scorer=left, seed=3, also={"right": right, "left": left}, batch_size=16)
    np.testing.assert_array_equal(more.column("right_score"), attribute_scores(right, table))
    assert more.column("left_score") == more.column("target_score") == table.column("target_score")
    strict = pairs(generator, t, g, 50, scorer=left, seed=3, threshold=0.9)
    np.testing.assert_array_equal(strict.labels[::2], scores[::2] >= 0.9)


def test_images_are_those_of_the_latents_and_their_complements(world):
    generator, t, g = world
    latents = torch.randn(20, K, generator=torch.Generator().manual_seed(1))
    labels = np.arange(20) % 2
    table = pairs_of(latents, labels, generator, t, g, scorer=left, batch_size=6)
    np.testing.assert_array_equal(table.labels, np.repeat(labels, 2))
    for z, rows in ((latents, range(0, 40, 2)), (complement(latents, g, keep=t), range(1, 40, 2))):
        expected = (generator.decode(z) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(table.batch(list(rows)).astype(int), expected, atol=1)


def test_real_images_through_inversion(world):
    generator, t, g = world
    latents = generator.sample(30, generator=torch.Generator().manual_seed(2))
    real = ImageTable.from_arrays(generator.decode(latents).numpy(), [0, 1] * 15, layout="NCHW")
    pseudo = torch.linalg.pinv(generator.module.directions)

    def encoder(images):
        means = torch.stack([images[:, 0, 0, 0], images[:, 0, 0, -1]], 1).clamp(1e-3, 1 - 1e-3)
        blue = (2 * images[:, 2, 0, 0] - images[:, 0, 0, 0]).clamp(1e-3, 1 - 1e-3)
        return torch.logit(torch.cat([means, blue[:, None]], 1)) @ pseudo.T

    table = pairs_of(
        invert(encoder, real, latent=K), real.labels, generator, t, g, scorer=left, variant="onto"
    )
    first, second = sides(table)
    np.testing.assert_allclose(first.batch(range(30)).astype(int), real.batch(range(30)).astype(int), atol=3)
    np.testing.assert_allclose(attribute_scores(right, second), 0.5, atol=0.1)
    np.testing.assert_array_equal(first.labels, real.labels)


def test_the_same_seed_the_same_table_and_more_begin_with_the_fewer(world):
    generator, t, g = world
    few, again, other = (pairs(generator, t, g, 40, scorer=left, seed=seed) for seed in (5, 5, 6))
    assert few.fingerprint == again.fingerprint != other.fingerprint
    many = pairs(generator, t, g, 1100, scorer=left, seed=5)
    assert many.take(np.arange(80)).fingerprint == few.fingerprint
    small = pairs(generator, t, g, 40, scorer=left, seed=5, batch_size=7)
    np.testing.assert_allclose(small.batch(range(80)).astype(int), few.batch(range(80)).astype(int), atol=1)


def test_the_margin_keeps_sure_pairs_only_and_as_many_as_asked(world):
    generator, t, g = world
    table = pairs(generator, t, g, 60, scorer=left, margin=0.49)
    assert len(table) == 120
    scores = np.array(table.column("target_score"))[::2]
    assert (np.abs(scores - 0.5) >= 0.49).all()
    loose = np.array(pairs(generator, t, g, 60, scorer=left).column("target_score"))[::2]
    assert (np.abs(loose - 0.5) < 0.49).any()
    with pytest.raises(InputError, match=r"got 0 from 2048 latents. Choose a smaller margin"):
        pairs(generator, t, g, 5, scorer=lambda x: 0.01 * left(x), margin=0.49)


def test_a_folder_keeps_the_same_table(world, tmp_path):
    generator, t, g = world
    memory = pairs(generator, t, g, 40, scorer=left, batch_size=16)
    folder = tmp_path / "new" / "pairs"
    table = pairs(generator, t, g, 40, scorer=left, batch_size=16, folder=folder)
    assert isinstance(table.parts[0], np.memmap)
    assert table.fingerprint == memory.fingerprint == read_pairs(folder).fingerprint
    np.testing.assert_array_equal(table.batch(range(80)), memory.batch(range(80)))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["pairs"]
    with pytest.raises(InputError, match="holds something"):
        pairs(generator, t, g, 40, scorer=left, folder=folder)
    (folder / "digests.npy").unlink()
    with pytest.raises(DataError, match="Make them again"):
        read_pairs(folder)


def test_a_run_that_fails_leaves_no_folder(world, tmp_path):
    generator, t, g = world
    calls = []

    def fails_later(images):
        calls.append(len(images))
        return left(images) if len(calls) < 4 else left(images) * torch.nan

    with pytest.raises(InputError, match="finite"):
        pairs(generator, t, g, 40, scorer=fails_later, batch_size=8, folder=tmp_path / "pairs")
    assert list(tmp_path.iterdir()) == []


def test_variants(world):
    generator, t, g = world
    third = Hyperplane(generator.module.directions[2].numpy(), 0.0, "blue")
    on = sides(pairs(generator, t, g, 50, scorer=left, variant="onto"))[1]
    np.testing.assert_allclose(attribute_scores(right, on), 0.5, atol=0.1)
    first, mirrored = sides(pairs(generator, t, g, 50, scorer=left, variant="mirror"))
    assert set(mirrored.column("side")) == {"mirror"}
    assert np.abs(attribute_scores(left, first) - attribute_scores(left, mirrored)).mean() > 0.2
    table = pairs(generator, t, [g, third], 50, scorer=left, variant="all_sides")
    assert table.column("side")[:4] == [
        "original",
        "complement: blue",
        "complement: right",
        "complement: right, blue",
    ]
    scores = attribute_scores(right, table).reshape(50, 4) > 0.5
    assert (scores[:, 0] == scores[:, 1]).all()
    assert (scores[:, 2:] == ~scores[:, :1]).mean() > 0.97
    both = pairs(generator, t, [g, third], 50, scorer=left)
    assert len(both) == 100


def test_a_target_by_side(world):
    pytest.importorskip("sklearn")
    generator, _, g = world
    latents, scores = scored_latents(generator, {"left": left}, 2000, seed=1)
    has, side = scores["left"] >= 0.5, g.distances(latents).numpy() >= 0
    targets = tuple(fit_hyperplane(latents[which], has[which], name="left") for which in (~side, side))
    table = pairs(generator, targets, g, 200, scorer=left, variant="complement_by_side")
    assert table.column("side")[:2] == ["original", "complement"]
    first, second = sides(table)
    flipped = (attribute_scores(right, first) > 0.5) != (attribute_scores(right, second) > 0.5)
    kept = (attribute_scores(left, first) > 0.5) == (attribute_scores(left, second) > 0.5)
    assert flipped.mean() > 0.95
    assert kept.mean() > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "turn"}, "variant must be one of complement, onto"),
        ({"count": 0}, "at least one pair"),
        ({"threshold": 1.0}, "threshold must be a probability"),
        ({"margin": 0.5}, "margin must be 0 or more"),
        ({"also": {"target": right}}, "is that of the scorer"),
        ({"batch_size": 0}, "batch size of at least 1"),
        ({"target": Hyperplane(np.ones(5), 0.0)}, "same number of dimensions"),
        ({"target": Hyperplane(np.ones(5), 0.0), "protected": Hyperplane(np.arange(5.0), 0.0)}, "12"),
        ({"variant": "complement_by_side"}, "a target of two"),
        ({"target": (Hyperplane(np.ones(K), 0.0),) * 2}, "keeps one target hyperplane; got tuple"),
    ],
)
def test_bad_input(world, change, message):
    generator, t, g = world
    settings = {"target": t, "protected": g, "count": 5, "scorer": left} | change
    with pytest.raises(InputError, match=message):
        pairs(generator, **settings)


def test_parallel_hyperplanes_are_refused_before_anything_is_made(world):
    generator, t, _ = world
    drawn = []

    class Watched(nn.Module):
        def forward(self, latents):
            drawn.append(len(latents))
            return generator.module(latents)

    with pytest.raises(InputError, match="parallel"):
        pairs(ModuleGenerator(Watched(), K), t, Hyperplane(t.weight, 1.0, "right"), 500, scorer=left)
    assert sum(drawn) <= 10


def test_images_that_a_table_cannot_hold(world):
    _, t, g = world
    wide = ModuleGenerator(
        nn.Sequential(nn.Linear(K, 3 * 4 * 8), nn.Sigmoid(), nn.Unflatten(1, (3, 4, 8))), K
    )
    with pytest.raises(InputError, match="square images with 1 or 3 channels; the generator's are 3×4×8"):
        pairs(wide, t, g, 5, scorer=left)


# --- mixing


def test_mixing_keeps_all_real_images_and_whole_pairs(world, scene):
    generator, t, g = world
    real = scene(60, size=SIZE)
    made = pairs(generator, t, g, 100, scorer=left)
    table = mixed(real, made, 0.5, seed=1)
    assert len(table) == 120
    generated = np.array(table.column("generated"))
    np.testing.assert_array_equal(generated, np.arange(120) >= 60)
    assert table.column("colour")[:60] == real.column("colour")
    _, counts = np.unique(np.array(table.column("pair")[60:]), return_counts=True)
    assert (counts == 2).all()
    np.testing.assert_array_equal(table.labels[:60], real.labels)
    assert mixed(real, made, 0.5, seed=1).fingerprint == table.fingerprint
    assert mixed(real, made, 0.5, seed=2).fingerprint != table.fingerprint
    assert len(mixed(real, made, 0.25)) == 80
    assert mixed(real, made, 0.0).column("generated") == [False] * 60
    bare = ImageTable.from_arrays(real.batch(range(60)), real.labels)
    assert mixed(bare, made, 0.5, seed=1).labels.tolist() == table.labels.tolist()


def test_mixing_what_there_is_not(world, scene):
    generator, t, g = world
    made = pairs(generator, t, g, 10, scorer=left)
    with pytest.raises(InputError, match=r"needs 60 generated ones; got 20 in 10 pairs. Make 30 pairs"):
        mixed(scene(60, size=SIZE), made, 0.5)
    with pytest.raises(InputError, match=r"share must be in \[0, 1\)"):
        mixed(made, made, 1.0)
    with pytest.raises(InputError, match="'pair'"):
        mixed(made, scene(60, size=SIZE), 0.5)
