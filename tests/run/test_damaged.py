"""Models, generators, pairs and settings that are damaged, or that somebody gave us as ours, through every door."""

import json
import os
import resource
import struct
import time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from equipoise.data import ImageTable
from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.latent.kept_pairs import read_pairs
from equipoise.latent.kept_pairs import write as write_pairs
from equipoise.nn.small_gan import SmallGenerator
from equipoise.run.generator_source import generator_source
from equipoise.run.representation import represent, save_representation
from equipoise.run.saved import load
from equipoise.train import Engine, fit, load_model, save_model
from equipoise.train import recipe as find_recipe
from equipoise.train.gan import GAN
from equipoise.train.saved_generator import FORMAT
from equipoise.train.saved_model import check_kinds

FILES = ("config.json", "model.safetensors", "density.safetensors")


def pictures(count=40):
    chance = np.random.default_rng(0)
    images = chance.integers(0, 255, (count, 32, 32, 3), np.uint8)
    return ImageTable.from_arrays(images, (np.arange(count) % 2).astype(np.int64))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The files of a small trained model with the density of its positives, as bytes."""
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("model")
    quick = find_recipe("equipoise-latent")
    quick = replace(quick, width=4, latent=4, debiased=replace(quick.debiased, epochs=1, batch_size=8))
    fitted = fit(pictures(), quick, method="debiased", engine=Engine(device="cpu", progress=False))
    save_model(fitted, folder, image_size=32, channels=3)
    found = represent(fitted.model, pictures(), device="cpu")
    save_representation(found[0], folder)
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for number, image in enumerate(pictures(8).batch(np.arange(8))):
        (folder / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / "ab"[number % 2] / f"{number}.png")
    return folder


def doors(folder, data, out, told, number):
    """Score or evaluate with a folder's model; the code, and what was said."""
    if number % 4:
        return told("score", folder, data, "--out", out / "scores.parquet", "--device", "cpu")
    sides = ("--positives", data / "a", "--negatives", data / "b")
    return told(
        *(
            "evaluate",
            folder,
            *sides,
            "--replicates",
            100,
            "--out",
            out / "evaluated",
            "--overwrite",
            "--device",
            "cpu",
        )
    )


def tried(model, name, content, folder, data, told, number):
    folder.mkdir(exist_ok=True)
    for other, whole in model.items():
        (folder / other).write_bytes(content if other == name else whole)
    began = time.perf_counter()
    code, said = doors(folder, data, folder.parent, told, number)
    assert time.perf_counter() - began < 30
    assert code == 0 or str(folder) in said, said
    return code


@pytest.mark.parametrize("name", FILES)
def test_damaged_models_are_said(model, name, tmp_path, data, damaged, told):
    assert tried(model, name, model[name], tmp_path / "m", data, told, 0) == 0
    codes = [
        tried(model, name, damaged(model[name], seed), tmp_path / "m", data, told, seed) for seed in range(6)
    ]
    assert 2 in codes


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", FILES)
def test_many_damaged_models_are_said(model, name, tmp_path, data, damaged, told):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    codes = [
        tried(model, name, damaged(model[name], seed), tmp_path / "m", data, told, seed)
        for seed in range(1000, 1180)
    ]
    assert codes.count(2) > 40
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KB


def lying(tensors=None, *, length=None):
    """A safetensors file whose header says what is not there."""
    header = json.dumps(
        {
            name: {"dtype": kind, "shape": shape, "data_offsets": ends}
            for name, kind, shape, ends in tensors or ()
        }
    ).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header


LIES = {
    "length": lying(length=10**15),
    "most": lying(length=2**64 - 1),
    "shape": lying([("w", "F32", [10**15], [0, 4 * 10**15])]),
    "overflow": lying([("w", "F32", [2**40, 2**40], [0, 8])]) + bytes(8),
    "ends": lying([("w", "F32", [2], [8, 0])]) + bytes(8),
    "kind": lying([("w", "F32", [2], [0, 4])]) + bytes(8),
    "empty": b"",
    "text": b"not safetensors at all, but long enough to be read as a header length",
    "no tensors": lying([]),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("name", FILES[1:])
def test_headers_that_lie(model, name, lie, tmp_path, data, told):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert tried(model, name, LIES[lie], tmp_path / "m", data, told, 1) == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB


def changed(change):
    def made(content, tmp_path):
        (tmp_path / "t").write_bytes(content)
        tensors = load_file(tmp_path / "t")
        name = next(name for name in tensors if name.endswith("weight"))
        change(tensors, name)
        save_file(tensors, tmp_path / "t")
        return (tmp_path / "t").read_bytes()

    return made


def running(value):
    def change(tensors, _):
        name = next(name for name in tensors if name.endswith("running_var"))
        tensors[name] = torch.full_like(tensors[name], value)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors, name: tensors[name].view(-1)[:1].fill_(torch.nan), "finite"),
        (lambda tensors, name: tensors[name].view(-1)[-1:].fill_(torch.inf), "finite"),
        (lambda tensors, name: tensors.update({name: tensors[name].long()}), "torch.int64"),
        (lambda tensors, name: tensors.update({name: tensors[name].flatten()}), "do not fit"),
        (lambda tensors, name: tensors.pop(name), "do not fit"),
        (lambda tensors, name: tensors.update({"more": torch.zeros(2)}), "do not fit"),
        (running(-1.0), "negative variances"),
    ],
)
def test_weights_that_are_no_weights(model, change, said, tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    for name, content in model.items():
        (folder / name).write_bytes(content)
    (folder / "model.safetensors").write_bytes(changed(change)(model["model.safetensors"], tmp_path))
    with pytest.raises(EquipoiseError, match=said):
        load_model(folder)


def test_buffers_may_be_infinite(tmp_path):
    network = torch.nn.Linear(2, 2)
    network.register_buffer("mask", torch.full((2, 2), -torch.inf))
    check_kinds(network, network.state_dict(), tmp_path)
    tensors = network.state_dict() | {"bias": torch.tensor([0.0, torch.nan])}
    with pytest.raises(DataError, match="finite numbers as 'bias'"):
        check_kinds(network, tensors, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("image_size", 10**9, "pixels"),
        ("image_size", "32", "'image_size' as a whole number"),
        ("image_size", True, "'image_size' as a whole number"),
        ("channels", 2, "channels"),
        ("method", "best", "method among"),
        ("method", ["plain"], "'method' as text"),
        ("recipe", None, "'recipe' as an object"),
        ("recipe", {"name": "x", "width": 10**6}, "do not fit"),
        ("recipe", {"name": "x", "plain": 3}, "recipe.plain must be a group"),
        ("given", "no", "'given' as true or false"),
        ("format", "equipoise-model-9", "version 'equipoise-model-1'"),
    ],
)
def test_a_config_that_says_something_else(model, key, value, said, tmp_path):
    for name, content in model.items():
        (tmp_path / name).write_bytes(content)
    config = json.loads(model["config.json"]) | {key: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EquipoiseError, match=said):
        load(tmp_path, device="cpu")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "density.safetensors"])
def test_no_file_at_all(model, name, tmp_path):
    for other, content in model.items():
        (tmp_path / other).write_bytes(content)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)  # whoever opened it would wait for ever
    with pytest.raises(DataError, match=f"{name}.*ot a file"):
        load(tmp_path, device="cpu")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=f"{name}.*a folder"):
        load(tmp_path, device="cpu")


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator")
    network = SmallGenerator(4, width=4, image_size=32)
    config = {"format": FORMAT, "image_size": 32, "channels": 3, "seed": 0, "steps": 1, "torch": "2"}
    config |= {"settings": vars(GAN(latent=4, width=4)), "scores": {}}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), folder / "model.safetensors")
    return {name: (folder / name).read_bytes() for name in FILES[:2]}


def generators(generator, name, tmp_path, damaged, seeds):
    wrong = 0
    for seed in seeds:
        for other, content in generator.items():
            (tmp_path / other).write_bytes(damaged(content, seed) if other == name else content)
        try:
            generator_source(tmp_path, pictures(2), device="cpu")
        except (DataError, InputError):
            wrong += 1
    return wrong


@pytest.mark.parametrize("name", FILES[:2])
def test_damaged_generators_are_said(generator, name, tmp_path, damaged):
    assert generators(generator, "", tmp_path, damaged, [0]) == 0
    assert generators(generator, name, tmp_path, damaged, range(10)) > 2


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", FILES[:2])
def test_many_damaged_generators_are_said(generator, name, tmp_path, damaged):
    assert generators(generator, name, tmp_path, damaged, range(1000, 1100)) > 20


PAIRS = ("images.npy", "digests.npy", "table.parquet")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    import pyarrow as pa

    folder, table = tmp_path_factory.mktemp("pairs"), pictures(8)
    np.save(folder / "images.npy", table.batch(np.arange(8)))
    write_pairs(
        folder, table.batch(np.arange(8)), table.labels, table.digests, pa.table({"pair": list(range(8))})
    )
    return {name: (folder / name).read_bytes() for name in PAIRS}


def kept(pairs, name, folder, content):
    for other, whole in pairs.items():
        (folder / other).write_bytes(content if other == name else whole)
    try:
        read_pairs(folder).batch(np.arange(8))
    except EquipoiseError:
        return 1
    return 0


def header(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("name", PAIRS[:2])
def test_damaged_pairs_are_said(pairs, name, tmp_path, damaged):
    assert kept(pairs, "", tmp_path, b"") == 0
    for text in (
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000,)}\n",
        b"{'descr': '<u8', 'fortran_order': False, 'shape': (-1,)}\n",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n",
        b"{'descr': [('a', '<u8')], 'fortran_order': False, 'shape': (8,)}\n",
        b"{'descr': '<u8', 'shape': (\n",
        b"(" * 900 + b"\n",
    ):
        assert kept(pairs, name, tmp_path, header(text) + bytes(64)) == 1
    assert sum(kept(pairs, name, tmp_path, damaged(pairs[name], seed)) for seed in range(30)) > 3


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_many_damaged_pairs_are_said(pairs, name, tmp_path, damaged):
    assert sum(kept(pairs, name, tmp_path, damaged(pairs[name], seed)) for seed in range(1000, 1150)) > 20


SETTINGS = b'command = "data"\nimages = 40\nimage_size = 32\ngroups = ["hidden"]\nseed = 1\n'
BROKEN = {
    "type": b"images = [1, 2]\n",
    "table": b"[images]\na = 1\n",
    "date": b"images = 2020-01-01\n",
    "float": b"images = 1.5\n",
    "infinite": b"images = inf\n",
    "deep": b"images = " + b"[" * 5000 + b"]" * 5000,
    "bytes": b"images = \xff\n",
    "huge": b"images = 1" + b"0" * 400,
    "key": b"imagse = 3\n",
    "twice": b"images = 1\nimages = 2\n",
    "other": b'command = "audit"\n',
    "command": b"command = 3\n",
    "escape": b'"\\u001b[31m" = 1\n',
    "null": b"images = \x00\n",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_settings_that_are_damaged_are_said(broken, tmp_path, told):
    (tmp_path / "settings.toml").write_bytes(BROKEN[broken])
    code, said = told("data", "--config", tmp_path / "settings.toml")
    assert code == 2
    assert "settings.toml" in said or "images" in said


def test_settings_of_an_earlier_run_that_are_damaged_are_said(tmp_path, told):
    out = tmp_path / "run"
    out.mkdir()
    (out / "record.json").write_text("{}")
    for content in (*BROKEN.values(), b"\xff\xfe", b"= 3"):
        (out / "settings.toml").write_bytes(content)
        code, said = told("debias", "--images", 40, "--out", out)
        assert code == 2
        assert str(out) in said


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_many_damaged_settings_are_said(tmp_path, damaged, told):
    codes = []
    for seed in range(100):
        (tmp_path / "settings.toml").write_bytes(damaged(SETTINGS, seed))
        codes.append(told("data", "--config", tmp_path / "settings.toml")[0])
    assert codes.count(2) > 20
