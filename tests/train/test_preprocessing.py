"""What a model's config.json says of its pictures, and that it is done when they are scored."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.data import read
from equipoise.errors import DataError
from equipoise.pictures.framing import Framing
from equipoise.run.saved import load
from equipoise.train import Optimisation, Recipe, fit, load_model, predict, save_model
from equipoise.train.preprocessing import framing_of, known_framing, preprocessing

TINY = Recipe("tiny", plain=Optimisation(epochs=1, batch_size=8), width=4, depth=2, latent=4)
FRAMINGS = [
    Framing(16),
    Framing(16, resize=19, interpolation="bilinear"),
    Framing(16, "squash", None, "nearest"),
]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_words_are_read_back(framing):
    words = json.loads(json.dumps(preprocessing(framing, 3)))
    assert framing_of(words) == known_framing(words, 16) == framing


@pytest.mark.parametrize(
    "words",
    [None, 3, {}, {"image_size": 16, "resampling": "area"}, {"image_size": "16", "resampling": "lanczos"}],
)
def test_other_words_are_no_framing(words):
    assert known_framing(words, 16) == Framing(16)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    rng, folder = np.random.default_rng(7), tmp_path_factory.mktemp("pictures")
    for row in range(24):
        place = folder / ("ant", "bee")[row % 2] / f"{row}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 50 - row, 3), dtype=np.uint8)).save(place)
    return folder


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_model_is_scored_on_pictures_as_it_was_trained_on(framing, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    table = read(pictures, framing=framing)
    fitted = fit(table, TINY, method="plain")
    save_model(fitted, tmp_path / "model", image_size=16, channels=3, framing=table.framing)
    assert load(tmp_path / "model", device="cpu").framing == framing
    out = tmp_path / "scores.parquet"
    assert main(["score", str(tmp_path / "model"), str(pictures), f"--out={out}", "--device=cpu"]) == 0
    found = pq.read_table(out).column("logit").to_numpy()
    expected = predict(fitted.model, table)
    np.testing.assert_allclose(found, np.log(expected) - np.log1p(-expected), rtol=1e-4)
    other = "--resize=bicubic"
    assert main(["score", str(tmp_path / "model"), str(pictures), f"--out={out}", other]) == 2
    assert "as the model takes them" in capsys.readouterr().err


def test_training_cannot_tell_whether_pictures_stay_encoded(pictures, tmp_path):
    tables = [
        read(pictures, image_size=16, cache=tmp_path / limit, cache_limit=limit) for limit in ("0", "1GB")
    ]
    assert [isinstance(table.parts[0], np.ndarray) for table in tables] == [False, True]
    one, two = (fit(table, TINY, method="plain", seed=3) for table in tables)
    assert one.history == two.history
    states = [fitted.model.state_dict() for fitted in (one, two)]
    assert all(states[0][name].equal(states[1][name]) for name in states[0])


def test_words_of_another_version_are_refused(pictures, tmp_path):
    fitted = fit(read(pictures, image_size=16, cache=tmp_path), TINY, method="plain")
    save_model(fitted, tmp_path, image_size=16, channels=3)
    config = json.loads((tmp_path / "config.json").read_text())
    for change in (
        {"resized": 3},
        {"resized": True},
        {"resampling": "area"},
        {"crop": "left"},
        {"image_size": 17},
    ):
        words = {**config["preprocessing"], **change}
        (tmp_path / "config.json").write_text(json.dumps({**config, "preprocessing": words}))
        with pytest.raises(DataError, match="all that this version does"):
            load_model(tmp_path)
