"""`equipoise export`: a model in a format that other programs read."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import FOLDER, Framed, General, Network, TrainedEncoder

__all__ = ["export"]


# As many parameters as there are groups of flags.
def export(
    model: str,
    /,
    *,
    format: Annotated[str, Parameter(group=FOLDER)],
    out: Annotated[Path, Parameter(group=FOLDER)],
    record: Annotated[Path | None, Parameter(group=FOLDER)] = None,
    overwrite: Annotated[bool, Parameter(group=FOLDER, negative=(), show_default=False)] = False,
    encoder: TrainedEncoder = TrainedEncoder(),
    network: Network = Network(),
    reading: Framed = Framed(),
    general: General = General(),
) -> int:
    """Write a model so that other programs read it; read again and compared with the network before it counts.

    Args:
        model: A run's folder, RUN/models/NAME, timm:NAME, hf:NAME_OR_FOLDER, or package.module:callable that gives a
            torch nn.Module or an nn.Backbone.
        format: onnx (pictures in [0, 1] to logits, normalisation inside), transformers (the folder of a network that
            came as hf:…, with a model card), or state-dict (safetensors under the network's own names).
        out: The file, or the folder of transformers.
        record: Folder of an evaluation of this very model, whose numbers the model card tells.
        overwrite: Replace what lies there.
    """
    from equipoise import run
    from equipoise.cli.conversion import network_of, reading_of, teller

    written = run.export(
        network_of(model, network, encoder),
        format=format,
        out=out,
        reading=reading_of(reading),
        record=record,
        overwrite=overwrite,
        tell=teller(general),
    )
    say(f"Written: {written}")
    return 0
