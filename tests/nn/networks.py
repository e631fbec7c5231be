"""Pretrained networks of other libraries, tiny and made here: nothing is downloaded."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from equipoise.pictures.framing import Framing

FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}


class Small(nn.Module):
    """A network of the user's own: its features go into `last`, `unused` is never called."""

    def __init__(self, classes: int = 3, channels: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.drop, self.unused, self.last = nn.Dropout(0.5), nn.Linear(6, 6), nn.Linear(6, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(self.body(images).flatten(1)))


def small(classes: int = 3, channels: int = 3) -> Small:
    """The same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small(classes, channels)


def photograph(width: int = 60, height: int = 40) -> Image.Image:
    chance = np.random.default_rng(0)
    coarse = chance.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def squared(picture: Image.Image, framing: Framing) -> np.ndarray:
    """What a framing means, in Pillow's words."""
    size, by = framing.size, FILTERS[framing.interpolation]
    if framing.rule == "squash":
        return np.asarray(picture.resize((size, size), by))
    shorter = min(picture.size)
    to = framing.resize or size
    width, height = (to * side // shorter for side in picture.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return np.asarray(picture.resize((width, height), by).crop((left, top, left + size, top + size)))


def transformers_folder(
    folder: Path, processor: object, *, labels: dict[int, str] | None, heads: bool = True
) -> Path:
    """A ViT of 32 pixels beside a processor."""
    import transformers

    names = (
        {} if labels is None else {"id2label": labels, "label2id": {name: i for i, name in labels.items()}}
    )
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        **names,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = transformers.ViTForImageClassification(config) if heads else transformers.ViTModel(config)
    made.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def exported(path, classes=3, batch=1, dynamic=False):
    network = small(classes).eval()
    options = {"dynamic_axes": {"images": {0: "batch"}}} if dynamic else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(batch, 3, 16, 16),), path, dynamo=False, input_names=["images"], **options
        )
    return network
