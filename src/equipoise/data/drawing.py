"""One picture of the embedded set: a drawn head or thing, put before a background and photographed badly."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["any_heads", "draw"]

SKIN = {
    "drawn": {
        "lighter": ("#ffdbb4", "#f8d8c0"),
        "medium": ("#edb98a", "#d9a066"),
        "darker": ("#614335", "#4a3228"),
    },
    "pixel": {
        "lighter": ("#ffdbac", "#f5cfa0"),
        "medium": ("#e0b687", "#cb9e6e"),
        "darker": ("#6b4423", "#523218"),
    },
}
HAIR_COLOUR = {"brown": "#724133", "black": "#2c1b18", "blond": "#d6b370", "grey": "#e8e1e1"}
TOPS = {
    "short": (
        "shortCurly",
        "shortFlat",
        "shortRound",
        "shortWaved",
        "theCaesar",
        "theCaesarAndSidePart",
        "dreads01",
    ),
    "long": (
        "bob",
        "bun",
        "curly",
        "curvy",
        "longButNotTooLong",
        "miaWallace",
        "straight01",
        "straight02",
        "bigHair",
    ),
    "hat": ("hat", "winterHat02", "winterHat03", "winterHat04", "winterHat1", "turban", "hijab"),
}
GLASSES = {
    "glasses": ("prescription01", "prescription02", "round"),
    "sunglasses": ("sunglasses", "wayfarers"),
}
MOUTH = {
    "smile": ("smile", "twinkle", "default"),
    "serious": ("serious", "concerned", "sad"),
    "open mouth": ("screamOpen", "disbelief", "grimace"),
}
PIXEL_MOUTH = {
    "smile": tuple(f"happy{i:02d}" for i in range(1, 10)),
    "serious": tuple(f"sad{i:02d}" for i in range(1, 8)),
    "open mouth": tuple(f"happy{i:02d}" for i in range(10, 14)),
}
BEARDS = ("beardLight", "beardMedium", "beardMajestic")
EYES = ("default", "happy", "side", "squint", "surprised", "wink")
BROWS = ("default", "defaultNatural", "raisedExcited", "flatNatural", "upDown", "angryNatural")
ROBOTS = ("bottts-neutral", "voxel-bot")
THINGS = {"landscape": "landscape", "planet": "planets", "shapes": "shapes", "icon": "icons"}
TONES = ("lighter", "medium", "darker")


def draw(
    parameters: Mapping[str, Any], heads: Sequence[Image.Image], size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One RGB picture, shape (size, size, 3); non-faces made of a face are made of one of `heads`."""
    if parameters["bad_picture"]:
        return _spoiled(size, rng)
    kind = parameters["kind"]
    light = parameters["light"] or rng.choice(["even", "even", "side", "low"])
    background = parameters["background"] or rng.choice(["plain", "gradient", "clutter"])
    scene = _background(background, size, rng)
    if kind in ("drawn face", "pixel face"):
        _paste(scene, _head(parameters, size, rng), rng)
    elif kind in ("scrambled face", "upside-down face"):
        _paste(scene, _unmade(heads[int(rng.integers(len(heads)))], kind, rng), rng)
    elif kind == "robot":
        _paste(scene, _svg(str(rng.choice(ROBOTS)), {"seed": _name(rng)}, size), rng)
    else:
        scene.paste(_svg(THINGS[kind], {"seed": _name(rng)}, size).convert("RGB"))
    return _photographed(scene, light, size, rng)


def any_heads(count: int, size: int, rng: np.random.Generator) -> list[Image.Image]:
    """Heads to make non-faces of."""
    return [_head(_any_head(rng), size, rng) for _ in range(count)]


def _any_head(rng: np.random.Generator) -> dict[str, Any]:
    """A head for a non-face: looks that are rare among faces are common here."""
    return {
        "kind": rng.choice(["drawn face", "drawn face", "pixel face"]),
        "skin": rng.choice(TONES, p=(0.2, 0.2, 0.6)),
        "hair": rng.choice(["short", "long", "none"]),
        "hair_colour": rng.choice(list(HAIR_COLOUR)),
        "glasses": rng.choice(["none", "glasses", "sunglasses"], p=(0.3, 0.15, 0.55)),
        "hat": rng.choice(["none", "hat"], p=(0.35, 0.65)),
        "beard": rng.choice(["none", "beard"]),
        "expression": rng.choice(list(MOUTH)),
    }


def _head(parameters: Mapping[str, Any], size: int, rng: np.random.Generator) -> Image.Image:
    def one(names: Sequence[str]) -> str:  # not the whole list: DiceBear checks every entry of it
        return str(rng.choice(names))

    drawn = parameters["kind"] == "drawn face"
    hair, glasses, hat = parameters["hair"], parameters["glasses"], parameters["hat"] == "hat"
    beard = parameters["beard"] == "beard"
    options: dict[str, Any] = {
        "seed": _name(rng),
        "skinColor": one(SKIN["drawn" if drawn else "pixel"][parameters["skin"]]),
        "hairColor": HAIR_COLOUR[parameters["hair_colour"]],
    }
    if drawn:
        covered = hat or hair != "none"
        options |= {"topVariant": one(TOPS["hat" if hat else hair])} if covered else {"topProbability": 0}
        options |= (
            {"accessoriesProbability": 0}
            if glasses == "none"
            else {
                "accessoriesProbability": 100,
                "accessoriesVariant": one(GLASSES[glasses]),
                "accessoriesColor": "#262e33",
            }
        )
        options |= (
            {"facialHairProbability": 0}
            if not beard
            else {
                "facialHairProbability": 100,
                "facialHairVariant": one(BEARDS),
                "facialHairColor": HAIR_COLOUR[parameters["hair_colour"]],
            }
        )
        options |= {"mouthVariant": one(MOUTH[parameters["expression"]]), "eyesVariant": one(EYES)}
        return _svg("avataaars", options | {"eyebrowsVariant": one(BROWS)}, size).crop(
            _box(size, 0.16, 0.12, 0.68)
        )
    number = int(rng.integers(1, 13))
    options |= {
        "hairVariant": f"{'long' if hair == 'long' else 'short'}{number:02d}",
        "hatProbability": 100 * hat,
        "glassesProbability": 100 * (glasses != "none"),
        "glassesVariant": f"{'dark' if glasses == 'sunglasses' else 'light'}{1 + number % 7:02d}",
        "beardProbability": 100 * beard,
        "accessoriesProbability": 0,
        "mouthVariant": one(PIXEL_MOUTH[parameters["expression"]]),
    }
    return _svg("pixel-art", options, size).crop(_box(size, 0.08, 0.06, 0.84))


def _box(size: int, left: float, top: float, side: float) -> tuple[int, int, int, int]:
    return round(size * left), round(size * top), round(size * (left + side)), round(size * (top + side))


def _unmade(head: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """A head that is no face any more: on its head, or its tiles shuffled."""
    if kind == "upside-down face":
        return head.transpose(Image.Transpose.ROTATE_180)
    tiles = int(rng.choice([3, 3, 4]))
    side = head.width // tiles
    pieces = [
        head.crop((x * side, y * side, (x + 1) * side, (y + 1) * side))
        for y in range(tiles)
        for x in range(tiles)
    ]
    order = rng.permutation(len(pieces))
    while (order == np.arange(len(pieces))).mean() > 0.3:
        order = rng.permutation(len(pieces))
    out = Image.new("RGBA", (side * tiles, side * tiles))
    for target, source in enumerate(order):
        out.paste(pieces[source], ((target % tiles) * side, (target // tiles) * side))
    return out


def _paste(scene: Image.Image, thing: Image.Image, rng: np.random.Generator) -> None:
    size = scene.width
    side = round(size * rng.uniform(0.8, 1.15))
    thing = thing.resize((side, side), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    thing = thing.rotate(float(rng.normal(0, 8)), Image.Resampling.BILINEAR)
    place = ((size - side) / 2 + rng.normal(0, 0.06, 2) * size).round().astype(int)
    scene.paste(thing, (int(place[0]), int(place[1])), thing)


def _background(kind: str, size: int, rng: np.random.Generator) -> Image.Image:
    first, second = rng.integers(60, 256, 3), rng.integers(20, 256, 3)
    if kind == "plain":
        second = first
    ramp = np.linspace(0, 1, size)[:, None, None]
    block = np.broadcast_to(first * (1 - ramp) + second * ramp, (size, size, 3))
    scene = Image.fromarray((block if rng.random() < 0.5 else block.transpose(1, 0, 2)).astype(np.uint8))
    if kind == "clutter":
        brush = ImageDraw.Draw(scene)
        for _ in range(int(rng.integers(4, 10))):
            corners = np.sort(rng.uniform(-0.2, 1.2, (2, 2)) * size, axis=0).round().astype(int)
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            shape = brush.ellipse if rng.random() < 0.5 else brush.rectangle
            shape([*corners[0].tolist(), *corners[1].tolist()], fill=colour)
    return scene


def _photographed(scene: Image.Image, light: str, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    brush = ImageDraw.Draw(scene)
    if rng.random() < 0.2:  # something stands in the way
        wide, high = rng.uniform(0.15, 0.4, 2) * size
        left, top = rng.uniform(0, 1, 2) * size - np.array([wide, high]) / 2
        brush.rectangle(
            [left, top, left + wide, top + high], fill=tuple(int(value) for value in rng.integers(0, 256, 3))
        )
    blur = rng.exponential(0.35) * size / 64
    if blur > 0.3:
        scene = scene.filter(ImageFilter.GaussianBlur(min(blur, 2.2 * size / 64)))
    pixels = np.asarray(scene, np.float32) / 255
    pixels = pixels * np.exp2(rng.normal(0, 0.12, 3)).astype(np.float32)  # colour cast
    if light == "low":
        pixels = pixels * np.float32(rng.uniform(0.3, 0.6))
    elif light == "side":
        slope = np.linspace(0.35, 1.15, size, dtype=np.float32)[:: rng.choice([-1, 1])]
        pixels = pixels * (slope[None, :, None] if rng.random() < 0.7 else slope[:, None, None])
    noise = np.float32(rng.uniform(0.01, 0.1))
    pixels += rng.standard_normal(pixels.shape, np.float32) * noise
    out: NDArray[np.uint8] = (pixels.clip(0, 1) * 255).round().astype(np.uint8)
    return out


def _spoiled(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    shape = (size, size, 3)
    kind = rng.integers(3)
    if kind == 2:
        return rng.integers(0, 256, shape, np.uint8)
    level = 4 if kind == 0 else 251
    return (level + rng.integers(-4, 5, shape)).astype(np.uint8)


def _name(rng: np.random.Generator) -> str:
    return str(rng.integers(1 << 62))


@lru_cache
def _style(name: str) -> Any:
    from importlib.resources import files

    from dicebear import Style

    return Style(json.loads(files("dicebear_styles").joinpath(f"{name}.json").read_text("utf-8")))


def _svg(style: str, options: dict[str, Any], size: int) -> Image.Image:
    import resvg_py
    from dicebear import Avatar

    svg = Avatar(_style(style), options).to_string()
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")
