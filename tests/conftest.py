"""Scenes that several rooms test on: small pictures whose structure is known because it is planted here."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import multiprocessing
import os
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from equipoise.data import ImageTable


def discs(
    count: int = 240, *, size: int = 16, rare: float = 0.1, seed: int = 0, noise: float = 0.15
) -> ImageTable:
    """Discs (positives) against squares (negatives); a rare share of the discs is blue, the rest is red."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    grid = np.arange(size)
    images = np.empty((count, size, size, 3))
    colour = np.full(count, "red", dtype=object)
    positives = np.flatnonzero(labels == 1)
    colour[positives[: round(rare * len(positives))]] = "blue"
    for i in range(count):
        middle, radius = rng.uniform(0.4, 0.6, 2) * size, rng.uniform(0.22, 0.34) * size
        far = np.stack(
            [np.abs(grid - middle[0])[:, None] + 0 * grid, np.abs(grid - middle[1]) + 0 * grid[:, None]]
        )
        inside = (np.hypot(*far) if labels[i] else far.max(0)) < radius
        ink = np.array([0.2, 0.3, 0.9] if colour[i] == "blue" else [0.9, 0.4, 0.3])
        images[i] = np.where(inside[..., None], ink, 0.5) + rng.normal(0, noise, (size, size, 3))
    values = [None if label == 0 else c for label, c in zip(labels, colour, strict=True)]
    return ImageTable.from_arrays(np.clip(images, 0, 1), labels, {"colour": values})


@pytest.fixture
def scene() -> Callable[..., ImageTable]:
    return discs


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def saved() -> Callable[..., bytes]:
    """The bytes of a picture in a format."""

    def make(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
        file = io.BytesIO()
        image.save(file, format, **options)
        return file.getvalue()

    return make


@pytest.fixture
def picture(saved: Callable[..., bytes]) -> Callable[..., bytes]:
    """Makes the bytes of a small picture of one colour, so that a test can tell it by its pixels."""

    def make(
        colour: Any = (200, 100, 50),
        size: Any = (16, 16),
        format: str = "PNG",
        mode: str = "RGB",
        **options: Any,
    ) -> bytes:
        return saved(Image.new("RGB", size, colour).convert(mode), format, **options)

    return make


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures beside the checkout; tests that need it skip without it."""
    places = [os.environ.get("EQUIPOISE_SHARED"), Path(__file__).resolve().parents[2] / "shared"]
    for place in filter(None, places):
        if (Path(place) / "data" / "fairface64" / "train.parquet").exists():
            return Path(place) / "data"
    pytest.skip("no folder of shared pictures beside the checkout (set EQUIPOISE_SHARED)")


Chance = random.Random
ODD = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        10**400,
        0.5,
        -1e308,
        1e308,
        5e-324,
        "",
        "x",
        "Infinity",
        "-Infinity",
    ),
    *("\x1b[31mred\r\n", "‮=1+1", "/home/somebody/place", [], {}, [1], ["x"], {"a": 1}, [[[]]], "9" * 5000),
)
RAW = {"@nan@": "NaN", "@infinity@": "-Infinity", "@deep@": "[" * 100_000 + "]" * 100_000, "@huge@": "1e999"}


def _places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, item in inner for place in _places(item, (*way, key)))]


def _damaged_json(text: bytes, chance: Chance) -> bytes:
    """A JSON file with one to three places changed: gone, renamed, of another type, swapped, not JSON."""
    content = json.loads(text)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = [way for way in _places(content) if way]
        if not places:
            break
        *above, key = chance.choice(places)
        holder = content
        for step in above:
            holder = holder[step]
        match chance.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[f"{key}_"] = holder.pop(key)
            case 2:
                holder[key] = chance.choice(list(RAW))
            case 3:
                *other, last = chance.choice(places)
                value = content
                with contextlib.suppress(KeyError, IndexError, TypeError):
                    for step in (*other, last):
                        value = value[step]
                    holder[key] = copy.deepcopy(value)
            case _:
                holder[key] = chance.choice(ODD)
    found = json.dumps(content)
    for mark, raw in RAW.items():
        found = found.replace(f'"{mark}"', raw)
    return found.encode()


def _damaged_bytes(content: bytes, chance: Chance) -> bytes:
    """A file with bytes flipped, cut off, put in, or zeroed; mostly near its beginning, where headers are."""
    found, reach = bytearray(content), chance.choice((64, 4096, len(content)))
    match chance.randrange(5):
        case 0:
            return bytes(found[: chance.randrange(len(found) + 1)])
        case 1:
            place = chance.randrange(min(reach, len(found)) + 1)
            found[place:place] = chance.randbytes(chance.randrange(1, 40))
        case 2:
            place = chance.randrange(len(found))
            found[place : place + 64] = bytes(len(found[place : place + 64]))
        case _:
            for _ in range(chance.choice((1, 2, 8))):
                found[chance.randrange(min(reach, len(found)))] ^= 1 << chance.randrange(8)
    return bytes(found)


@pytest.fixture(scope="session")
def damaged() -> Callable[[bytes, int], bytes]:
    """Content of a file and a seed → the content damaged; JSON is damaged as JSON three times out of four."""

    def damage(content: bytes, seed: int) -> bytes:
        chance = Chance(seed)
        if content[:1] in b"{[" and chance.randrange(4):
            return _damaged_json(content, chance)
        return _damaged_bytes(content, chance)

    return damage


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command and gives exit code and output; what nobody foresaw is a failure of the test."""
    from equipoise.cli import main

    def run(*arguments: Any) -> tuple[int, str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert code in (0, 2), f"{arguments}: {code}\n{err}"
        assert "unexpected" not in err
        assert "Traceback" not in err
        assert not set(out + err) & set("\x1b\r\u202e")
        return code, out + err

    return run


CLIP_WORDS = ("<pad>", "<end>", "<other>", "red", "blue", "dark", "bright", "a", "room")


def _clip_folder(
    folder: Path, *, size: int = 16, tokens: int = 6, text: bool = True, taught: bool = False
) -> Path:
    """A CLIP of `size` pixels whose texts have at most `tokens` tokens; without `text` nothing but its picture side;
    `taught` what red and blue look like."""
    transformers = pytest.importorskip("transformers")
    layers: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    texts = layers | {
        "vocab_size": len(CLIP_WORDS),
        "max_position_embeddings": tokens,
        "eos_token_id": 1,
        "bos_token_id": 1,
        "pad_token_id": 0,
    }
    pictures = layers | {"image_size": size, "patch_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.CLIPConfig(text_config=texts, vision_config=pictures, projection_dim=8)
        model = transformers.CLIPModel(config) if text else transformers.CLIPVisionModel(config.vision_config)
    model.save_pretrained(folder)
    square = {"height": size, "width": size}
    transformers.CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size=square).save_pretrained(folder)
    if text:
        _clip_tokenizer(transformers, tokens).save_pretrained(folder)
    if taught:
        _teach(folder, size)
    return folder


def _teach(folder: Path, size: int) -> None:
    """Makes "red" and "blue" those texts that red and blue pictures are nearest to; its picture side stays."""
    from safetensors.torch import load_file, save_file

    from equipoise.nn.picture_text import picture_text

    model = picture_text(f"hf:{folder}")
    pictures = torch.zeros(2, 3, size, size)
    pictures[0, 0], pictures[1, 2] = 1, 1
    seen, said = model.backbone(pictures).features, torch.from_numpy(model.texts(["red", "blue"]))
    wanted = torch.stack([seen[0] - seen[1], seen[1] - seen[0]])
    tensors = load_file(folder / "model.safetensors")
    projection = tensors["text_projection.weight"]
    tensors["text_projection.weight"] = (wanted.T @ torch.linalg.pinv(said.T) @ projection).contiguous()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _clip_tokenizer(transformers: Any, tokens: int) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    made = Tokenizer(WordLevel({word: number for number, word in enumerate(CLIP_WORDS)}, unk_token="<other>"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        eos_token="<end>",
        unk_token="<other>",
        model_max_length=tokens,
    )


@pytest.fixture(scope="session")
def clip_folder() -> Callable[..., Path]:
    """Saves a tiny CLIP, with a tokenizer of its own, as transformers saves them."""
    return _clip_folder


class Scene(NamedTuple):
    """Features, labels, logits of label 1, and the hidden group of each image, −1 in none."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    hidden: NDArray[np.int64]


def _planted(
    n: int = 1600,
    *,
    groups: int = 2,
    seed: int = 0,
    failing: float = 0.7,
    wrong: float = 0.05,
    width: int = 30,
) -> Scene:
    """Group g is 7 % of class g % 2, apart from it along a direction of its own, and wrong with chance `failing`."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    features = rng.normal(size=(n, width)) * np.concatenate(
        [np.geomspace(5, 1, 10), np.full(width - 10, 0.5)]
    )
    features[:, 12] += 3 * labels
    hidden = np.full(n, -1)
    for group in range(groups):
        free = np.flatnonzero((labels == group % 2) & (hidden < 0))
        rows = rng.choice(free, round(0.07 * n / 2), replace=False)
        hidden[rows] = group
        features[rows, 15 + group] += 8.0
    fails = rng.random(n) < np.where(hidden >= 0, failing, wrong)
    logits = np.where((labels == 1) ^ fails, 1, -1) * rng.gamma(2, 1, n)
    return Scene(features.astype(np.float32), labels, logits, hidden)


@pytest.fixture(scope="session")
def planted_slices() -> Callable[..., Scene]:
    """Planted features: two classes, a few strong directions of no consequence, and small groups that a model fails
    on."""
    return _planted


@pytest.fixture(scope="session")
def browser():
    """A browser without a window, if this machine has one; one for all, since a process takes no second driver."""
    driver = pytest.importorskip("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine")
    with driver.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


def _rank(work: Callable[[int], Any], rank: int, folder: str, queue: Any) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    started = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ.update(started, RANK=str(rank), LOCAL_RANK=str(rank))
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    try:
        queue.put((rank, work(rank)))
    except BaseException as error:
        queue.put((rank, error))


@pytest.fixture
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[int], Any]], list[Any]]:
    """What a function of the rank gives, or raises, in each of two processes that are as `torchrun` starts them."""
    fork = multiprocessing.get_context("fork")  # they have loaded everything

    def run(work: Callable[[int], Any]) -> list[Any]:
        folder, queue = str(tmp_path_factory.mktemp("group")), fork.Queue()
        processes = [fork.Process(target=_rank, args=(work, rank, folder, queue)) for rank in range(2)]
        for process in processes:
            process.start()
        try:
            found = dict(queue.get(timeout=100) for _ in processes)
        finally:
            for process in processes:
                process.join(5)
                process.kill()
        return [found[rank] for rank in range(2)]

    return run
