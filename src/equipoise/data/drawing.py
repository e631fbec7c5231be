"""One picture of the embedded set: a drawn head or thing, put before a background and photographed badly."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["FACES", "SCENES", "any_heads", "draw", "load_styles"]

FACES = {
    "flat face": "avataaars",
    "ink face": "open-peeps",
    "block face": "voxel-art",
    "pixel face": "pixel-art",
}
"""Kinds of face and the DiceBear style that draws each."""

HEAD = {
    "avataaars": "45 30 190 190",
    "open-peeps": "125 20 560 560",
    "voxel-art": "19 2 88 88",
    "pixel-art": "1 1 14 14",
}
SKIN = {
    "lighter": ("#ffdbb4", "#f8d8c0", "#f5cfa0"),
    "medium": ("#edb98a", "#e0b687", "#d9a066"),
    "darker": ("#6b4423", "#614335", "#523218", "#4a3228"),
}
HAIR_COLOUR = {"brown": "#724133", "black": "#2c1b18", "blond": "#d6b370", "grey": "#c9c2bd"}
CLOTHES = ("#5199e4", "#25557c", "#e6e6e6", "#a7ffc4", "#ffafb9", "#ff5c5c", "#3c4f5c", "#e8a33d", "#6a4fa3")

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
    "covered": ("hat", "winterHat02", "winterHat03", "winterHat04", "winterHat1", "turban", "hijab"),
}
INK_HEADS = {  # black hair is ink, hair of another colour is filled
    ("short", True): ("short1", "short2", "short3", "short5", "pomp", "flatTop", "shaved2", "twists", "afro"),
    ("short", False): ("grayShort", "short4"),
    ("long", True): (
        "long",
        "bangs2",
        "medium1",
        "medium2",
        "medium3",
        "mediumBangs",
        "mediumStraight",
        "longBangs",
    ),
    ("long", False): ("grayBun", "grayMedium", "bangs", "mediumBangs2"),
    ("none", True): ("noHair1",),
    ("covered", True): ("hatBeanie", "hatHip", "turban", "hijab"),
}
BLOCK_TOPS = {
    "short": ("short", "spiky", "bowl", "sideSwept", "curly", "halfShaved", "afro"),
    "long": ("bob", "shoulderLength", "longStraight", "longWavy", "partedLong", "braids", "ponytail"),
    "covered": ("cap", "beanie"),
}
MOUTHS: dict[str, dict[str, tuple[str, ...]]] = {
    "avataaars": {
        "smile": ("smile", "twinkle", "default"),
        "serious": ("serious", "concerned", "sad"),
        "open mouth": ("screamOpen", "disbelief", "grimace"),
    },
    "open-peeps": {
        "smile": ("smile", "calm", "cute", "cheeky", "eatingHappy"),
        "serious": ("serious", "blank", "solemn", "suspicious", "driven", "tired"),
        "open mouth": ("smileBig", "smileTeethGap", "explaining", "concerned", "concernedFear"),
    },
    "voxel-art": {
        "smile": ("smile", "bigSmile", "smirk", "wideSmile", "grin"),
        "serious": ("flat", "frown"),
        "open mouth": ("ooh", "laugh"),
    },
    "pixel-art": {
        "smile": tuple(f"happy{i:02d}" for i in range(1, 10)),
        "serious": tuple(f"sad{i:02d}" for i in range(1, 8)),
        "open mouth": tuple(f"happy{i:02d}" for i in range(10, 14)),
    },
}
GLASSES = {
    "avataaars": {
        "glasses": ("prescription01", "prescription02", "round"),
        "sunglasses": ("sunglasses", "wayfarers"),
    },
    "open-peeps": {
        "glasses": ("glasses", "glasses2", "glasses3", "glasses4"),
        "sunglasses": ("sunglasses", "sunglasses2"),
    },
    "voxel-art": {"glasses": ("round", "square", "cat"), "sunglasses": ("shades",)},
    "pixel-art": {
        "glasses": tuple(f"light{i:02d}" for i in range(1, 8)),
        "sunglasses": tuple(f"dark{i:02d}" for i in range(1, 8)),
    },
}
BEARDS = {
    "avataaars": ("beardLight", "beardMedium", "beardMajestic"),
    "open-peeps": ("full", "full2", "full3", "chin"),
    "voxel-art": ("full", "goatee"),
    "pixel-art": tuple(f"variant{i:02d}" for i in range(1, 5)),
}
ROBOTS = ("bottts", "bottts-neutral", "voxel-bot")
SCENES = {"landscape": "landscape", "planet": "planets", "shapes": "shapes", "patchwork": "patchwork"}
HEAD_KINDS = ("flat face", "flat face", "flat face", "ink face", "ink face", "block face", "pixel face")
LIGHTS = ("even", "even", "side", "low", "backlit")
BACKGROUNDS = ("plain", "gradient", "clutter")
CANVAS = re.compile(r'<g clip-path="url\(#clip-[0-9a-f]+\)">')  # the picture's edge clips as well, at no cost
OCCLUDED = 0.18  # share of pictures in which something stands in the way
NOISE = 0.005, 0.06  # standard deviation, least and most, of pixels in [0, 1]


def draw(
    parameters: Mapping[str, Any], heads: Sequence[Image.Image], size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One RGB picture, shape (size, size, 3); non-faces made of a face are made of one of `heads`."""
    if parameters.get("bad_picture"):
        return _spoiled(size, rng)
    kind = parameters["kind"]
    light = parameters["light"] or _pick(LIGHTS, rng)
    background = parameters["background"] or _pick(BACKGROUNDS, rng)
    scene = _background(background, light, size, rng)
    if kind in SCENES:
        scene = _svg(SCENES[kind], {"seed": _name(rng)}, size).convert("RGB")
    elif kind == "robot":
        style = _pick(ROBOTS, rng)
        options: dict[str, Any] = {"backgroundColor": []} if style == "voxel-bot" else {}
        _paste(scene, _svg(style, {"seed": _name(rng), **options}, size), light, rng)
    elif kind in FACES:
        _paste(scene, _head(parameters, size, rng), light, rng)
    else:
        _paste(scene, _unmade(heads[int(rng.integers(len(heads)))], kind, rng), light, rng)
    return _photographed(scene, light, size, rng)


def any_heads(count: int, size: int, rng: np.random.Generator) -> list[Image.Image]:
    """Heads to make non-faces of: every look is as likely as any other, also those that are rare among faces."""
    return [
        _head(
            {
                "kind": _pick(HEAD_KINDS, rng),
                "skin": _pick(tuple(SKIN), rng),
                "hair": _pick(("short", "long", "none", "covered"), rng),
                "hair_colour": _pick(tuple(HAIR_COLOUR), rng),
                "glasses": _pick(("none", "glasses", "sunglasses"), rng),
                "beard": _pick(("none", "beard"), rng),
                "expression": _pick(tuple(MOUTHS["avataaars"]), rng),
            },
            size,
            rng,
        )
        for _ in range(count)
    ]


def load_styles() -> None:
    """Read and check all styles, which takes seconds: once, before processes are forked."""
    for name in (*FACES.values(), *ROBOTS, *SCENES.values()):
        _style(name)


def _head(parameters: Mapping[str, Any], size: int, rng: np.random.Generator) -> Image.Image:
    style = FACES[parameters["kind"]]
    hair, glasses = parameters["hair"], parameters["glasses"]
    hair_colour, beard = HAIR_COLOUR[parameters["hair_colour"]], parameters["beard"] == "beard"
    mouth = _pick(MOUTHS[style][parameters["expression"]], rng)
    options: dict[str, Any] = {"seed": _name(rng), "skinColor": _pick(SKIN[parameters["skin"]], rng)}

    def part(name: str, shown: bool, variants: Sequence[str]) -> None:
        options[f"{name}Probability"] = 100 * shown
        if shown:
            options[f"{name}Variant"] = _pick(variants, rng)

    worn = "glasses" if style in ("voxel-art", "pixel-art") else "accessories"
    part(worn, glasses != "none", GLASSES[style].get(glasses, ()))
    part("beard" if style in ("voxel-art", "pixel-art") else "facialHair", beard, BEARDS[style])
    if style == "open-peeps":
        black = parameters["hair_colour"] == "black" or hair in ("none", "covered")
        options["headVariant"] = _pick(INK_HEADS[hair, black], rng)
        options |= {"expressionVariant": mouth, "maskProbability": 0, "clothingColor": _pick(CLOTHES, rng)}
        options["headContrastColor"] = _pick(CLOTHES, rng) if hair == "covered" else hair_colour
        return _svg(style, options, size)
    options |= {"mouthVariant": mouth, "hairColor": hair_colour}
    if style == "avataaars":
        part("top", hair != "none", TOPS.get(hair, ()))
        options |= {
            "facialHairColor": hair_colour,
            "clothesColor": _pick(CLOTHES, rng),
            "accessoriesColor": "#262e33",
        }
        options["eyesVariant"] = _pick(("default", "happy", "side", "squint", "surprised", "wink"), rng)
        options["eyebrowsVariant"] = _pick(("default", "defaultNatural", "raisedExcited", "flatNatural"), rng)
    elif style == "voxel-art":
        part("top", hair != "none", BLOCK_TOPS.get(hair, ()))
        options |= {
            "backgroundColor": [],
            "eyesVariant": _pick(("open", "soft", "happy", "side", "wide"), rng),
        }
    else:
        part("hair", hair in ("short", "long"), [f"{hair}{i:02d}" for i in range(1, 13)])
        options |= {"hatProbability": 100 * (hair == "covered"), "accessoriesProbability": 0}
    return _svg(style, options, size)


def _unmade(head: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """A head that is no face any more: its features gone, or its tiles shuffled, each too small for a face."""
    if kind == "blank face":
        side = head.width
        veil = Image.new("L", head.size)
        ImageDraw.Draw(veil).ellipse([0.15 * side, 0.3 * side, 0.85 * side, 0.9 * side], fill=255)
        smooth = head.filter(ImageFilter.GaussianBlur(side / 5))
        smooth.putalpha(head.getchannel("A"))
        return Image.composite(smooth, head, veil.filter(ImageFilter.GaussianBlur(side / 24)))
    tiles = int(_pick((4, 4, 5), rng))
    side = head.width // tiles
    boxes = [(x * side, y * side, (x + 1) * side, (y + 1) * side) for y in range(tiles) for x in range(tiles)]
    order = rng.permutation(len(boxes))
    while (order == np.arange(len(boxes))).mean() > 0.3:
        order = rng.permutation(len(boxes))
    out = Image.new("RGBA", (side * tiles, side * tiles))
    for target, source in enumerate(order):
        out.paste(head.crop(boxes[source]), boxes[target][:2])
    return out


def _paste(scene: Image.Image, thing: Image.Image, light: str, rng: np.random.Generator) -> None:
    """Put a thing somewhere near the middle: one mapping for size, turn, flip and place."""
    size = scene.width
    scale = thing.width / size / rng.uniform(0.85, 1.15)
    angle = np.deg2rad(rng.normal(0, 6))
    flip = -1 if rng.random() < 0.5 else 1
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turn[0] *= flip
    shift = thing.width / 2 - turn @ (size / 2 + rng.normal(0, 0.045, 2) * size)
    mapping = (*turn[0].tolist(), shift[0].item(), *turn[1].tolist(), shift[1].item())
    thing = thing.transform((size, size), Image.Transform.AFFINE, mapping, Image.Resampling.BILINEAR)
    alpha = thing.getchannel("A")
    if light == "backlit":
        level = rng.uniform(0.2, 0.36)
        thing = thing.point(lambda value: value * level)
    scene.paste(thing, (0, 0), alpha)


def _background(kind: str, light: str, size: int, rng: np.random.Generator) -> Image.Image:
    first, second = rng.integers(40, 216, 3), rng.integers(20, 216, 3)
    if light == "backlit":
        first, second = rng.integers(235, 256, 3), rng.integers(215, 256, 3)
    if kind == "plain":
        second = first
    ramp = np.linspace(0, 1, size)[:, None, None]
    block = np.broadcast_to(first * (1 - ramp) + second * ramp, (size, size, 3))
    scene = Image.fromarray((block if rng.random() < 0.5 else block.transpose(1, 0, 2)).astype(np.uint8))
    if kind == "clutter":
        brush = ImageDraw.Draw(scene)
        for _ in range(int(rng.integers(4, 10))):
            corners = np.sort(rng.uniform(-0.2, 1.2, (2, 2)) * size, axis=0).round().astype(int)
            colour = rng.integers(150, 256, 3) if light == "backlit" else rng.integers(0, 216, 3)
            shape = brush.ellipse if rng.random() < 0.5 else brush.rectangle
            shape([*corners[0].tolist(), *corners[1].tolist()], fill=tuple(colour.tolist()))
    return scene


def _photographed(scene: Image.Image, light: str, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < OCCLUDED:  # something stands in the way
        wide, high = rng.uniform(0.15, 0.33, 2) * size
        left, top = rng.uniform(0, 1, 2) * size - np.array([wide, high]) / 2
        colour = tuple(rng.integers(0, 256, 3).tolist())
        brush = ImageDraw.Draw(scene)
        shape = brush.ellipse if rng.random() < 0.5 else brush.rectangle
        shape([left, top, left + wide, top + high], fill=colour)
    blur = rng.exponential(0.3) * size / 64
    if blur > 0.3:
        scene = scene.filter(ImageFilter.GaussianBlur(min(blur, 1.5 * size / 64)))
    pixels = np.asarray(scene, np.float32) / np.float32(255)
    gain = rng.normal(0, 0.1, 3)  # colour cast
    if light == "low":
        gain += np.log2(rng.uniform(0.4, 0.65))
    pixels = pixels * np.exp2(gain).astype(np.float32)
    if light == "side":
        slope = np.linspace(0.4, 1.1, size, dtype=np.float32)[:: _pick((-1, 1), rng)]
        pixels *= slope[None, :, None] if rng.random() < 0.7 else slope[:, None, None]
    pixels += rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(*NOISE))
    pixels *= 255
    out: NDArray[np.uint8] = np.rint(pixels).clip(0, 255).astype(np.uint8)
    return out


def _spoiled(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Nearly black, nearly white, or nothing but noise."""
    shape = (size, size, 3)
    kind = rng.integers(3)
    if kind == 2:
        return rng.integers(0, 256, shape, np.uint8)
    level = 4 if kind == 0 else 251
    return (level + rng.integers(-4, 5, shape)).astype(np.uint8)


def _pick(choices: Sequence[Any], rng: np.random.Generator) -> Any:
    return choices[int(rng.integers(len(choices)))]


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

    svg = CANVAS.sub("<g>", Avatar(_style(style), options).to_string(), count=1)
    if style in HEAD:  # of a figure, only the head
        before, _, after = svg.partition('viewBox="')
        svg = f'{before}viewBox="{HEAD[style]}"{after[after.index(chr(34)) + 1 :]}'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png)), formats=["PNG"]).convert("RGBA")
