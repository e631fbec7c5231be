"""`fit`: one call from a table to a trained model, on Lightning Fabric."""

from __future__ import annotations

import copy
import multiprocessing
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.nn.parameter import is_lazy

from equipoise.data import ImageTable
from equipoise.errors import EquipoiseError, InputError, TrainingError
from equipoise.failures import refused
from equipoise.nn import DBVAE, Classifier, Objective, StandardCNN, architecture_digest, digest_of
from equipoise.nn.dbvae import feature_count
from equipoise.nn.standard_cnn import glorot_linear
from equipoise.resample import Draws
from equipoise.seeds import checked_seed, child_seed
from equipoise.train.checkpoint import latest_checkpoint, read_checkpoint
from equipoise.train.device import device_of
from equipoise.train.embedding import (
    Embedded,
    Embedding,
    embedding_identity,
    embedding_vectors,
    weighted_rows,
)
from equipoise.train.first_weights import check_first_weights
from equipoise.train.given import prepared
from equipoise.train.log import History
from equipoise.train.loop import Job, Outcome, sampler_of, sampler_state, train
from equipoise.train.rarity import check_resampling
from equipoise.train.recipe import Optimisation, Recipe
from equipoise.train.recipe import recipe as find_recipe

__all__ = ["METHODS", "EncoderNote", "Fit", "fit"]

Method = Literal["debiased", "plain", "plain-same-steps", "uniform"]
METHODS: dict[str, str] = {
    "debiased": "positives drawn by rarity",
    "plain": "plain CNN",
    "plain-same-steps": "plain CNN, trained as long as the debiased model",
    "uniform": "losses of the debiased model, uniform sampling",
}


class EncoderNote(NamedTuple):
    """What is noted of a user's encoder, to know it again: its class, and a digest of its architecture."""

    named: str
    architecture: str


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained model and how it came about.

    Args:
        model: In evaluation mode on the CPU.
        recipe: The whole setting.
        method: One of `METHODS`.
        seed: What chance came from.
        history: Losses while training, every 20 steps: "step", "epoch", "learning_rate", "total", and the parts.
        validation: After every epoch: "epoch", "classification", "accuracy"; empty without validation data.
        weights: Sampling weights of the last epoch over the training positives, in row order, sum 1; None if
            sampling was uniform.
        steps: Optimiser steps.
        seconds: Wall-clock of training, weights included, validation and checkpoints not.
        given: The model was the user's own, `fit(model=...)`.
        negative_weights: As `weights`, over the training negatives; None if these were drawn uniformly.
        draws: How often each training positive was drawn by weights, those of all epochs; None as `weights` is.
        negative_draws: The same of the negatives.
        encoder: What the user's encoder was, `fit(encoder=...)`.
    """

    model: nn.Module
    recipe: Recipe
    method: str
    seed: int
    history: History
    validation: History
    weights: NDArray[np.float64] | None
    steps: int
    seconds: float
    given: bool = False
    negative_weights: NDArray[np.float64] | None = None
    draws: Draws | None = None
    negative_draws: Draws | None = None
    encoder: EncoderNote | None = None


def optimisation_of(chosen: Recipe, method: str) -> Optimisation:
    """The optimisation that a method uses."""
    return chosen.plain if method == "plain" else chosen.debiased


def fit(
    table: ImageTable,
    recipe: str | Recipe = "equipoise",
    *,
    method: Method = "debiased",
    encoder: nn.Module | None = None,
    model: Objective | None = None,
    embedding: Embedding | None = None,
    validation: ImageTable | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    processes: int = 1,
    compile: bool = False,
    tensorboard: bool = False,
    folder: Path | str | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Fit:
    """Train a classifier of positives against negatives.

    Args:
        table: Images with labels 1 (positive) and 0 (negative).
        recipe: A recipe or its name.
        method: "debiased" (the recipe's objective, positives drawn by rarity), "uniform" (the same losses without
            resampling), "plain" (the plain classifier of the recipe) or "plain-same-steps" (the plain network,
            trained as the debiased one is).
        encoder: A network from images (batch, channels, height, width) in [0, 1] to feature vectors (batch, n) that
            replaces the standard CNN; it is copied, not changed.
        model: A model of your own for "plain" and "plain-same-steps", trained whole: anything with `losses` and one
            logit an image, such as `Classifier(network)` or a wrapped model of `equipoise.risk`. It is copied, not
            changed; its weights are the start. Its architecture is not saved: give it to `load_model` again.
        embedding: What rarity is measured in, in place of the DB-VAE's latent codes or the look of the pictures; for
            "debiased", the other methods draw uniformly. A network from images (batch, channels, height, width) in
            [0, 1] to vectors (batch, d), run once before training and left as it is; or the vectors, one row an image
            of the table; or the name of a column that holds them. See `Resampling`.
        validation: Scored after every epoch; never trained on and never used to choose anything.
        seed: The one source of chance; the same seed gives the same model on the same machine and thread count.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "32-true", "bf16-mixed", "16-mixed", "64-true", or "auto": what the recipe says,
            and where it says "auto" too, bf16-mixed if the processor has it.
        processes: Processes or devices that share every batch.
        compile: Compile the networks; pays off in long runs, needs a C++ compiler on a CPU. On a CUDA device with
            room for the pictures, a classifier by Adam in one process is recorded whole as a CUDA graph instead,
            and epochs run without the host (written without such a device at hand: tested on a CPU, where the
            recorded step, whose learning rates are single precision, gives the weights of such steps to the bit).
        tensorboard: Write TensorBoard events into `folder` too.
        folder: Where checkpoints and the history go, one an epoch; None keeps none.
        resume: Continue from the newest checkpoint in `folder`; ends with the same numbers as one uninterrupted run.
        progress: Show a bar when standard error is a terminal.

    Raises:
        InputError: if a class is missing, there are fewer images than a batch, or a setting is not known.
        TrainingError: if a loss or weight is not finite; says the step and the last good checkpoint.
        DataError: if the folder cannot be written or a checkpoint cannot be read.
    """
    chosen, seed = find_recipe(recipe), checked_seed(seed)
    if method not in METHODS:
        raise InputError(f"A method must be one of {', '.join(METHODS)}; got {method!r}. Choose one of them.")
    if resume and folder is None:
        raise InputError(
            "To resume, the folder of the first start is needed; got none. Give the same folder again."
        )
    if model is not None and (encoder is not None or method not in ("plain", "plain-same-steps")):
        raise InputError(
            f"A model of your own is trained by itself, as it is; got it with "
            f"{'an encoder' if encoder is not None else f'method {method!r}'}. "
            "Give model= with method='plain' or 'plain-same-steps', and no encoder."
        )
    how = optimisation_of(chosen, method)
    if model is not None and how.average is not None:
        raise InputError(
            f"A model of your own may hold statistics that cannot be averaged; got average {how.average}. "
            "Use a recipe whose optimisation has average=None."
        )
    precision = precision_of(chosen.precision if precision == "auto" else precision, device)
    check_trainable(table, how.batch_size, processes)
    resampling = chosen.resampling if method == "debiased" else None
    began = time.perf_counter()
    vectors = None
    if resampling is not None:
        check_resampling(resampling, embedded=embedding is not None, codes=chosen.objective == "db-vae")
        if embedding is not None:
            weighted = weighted_rows(table, both=resampling.classes == "both")
            vectors = embedding_vectors(embedding, table, weighted, device=device)
    seconds = time.perf_counter() - began + (embedding.seconds if isinstance(embedding, Embedded) else 0.0)
    if model is None:
        network = build(chosen, method, table.image_size, table.channels, encoder=encoder, seed=seed)
        if resampling is not None and resampling.warmup and not resume:
            check_first_weights(chosen, table, network, vectors=vectors, seed=seed, device=device)
    else:
        two = np.array([np.flatnonzero(table.labels == 0)[0], table.positives[0]])
        network = prepared(model, torch.from_numpy(table.batch(two)), seed=seed)
    job = Job(
        title=method,
        model=network,
        table=table,
        validation=validation,
        optimisation=how,
        resampling=resampling,
        seed=seed,
        folder=Path(folder) if folder is not None else None,
        resume=resume,
        settings={
            "recipe": chosen.to_dict(),
            "method": method,
            "seed": seed,
            "data": table.fingerprint,
            "processes": processes,
            "precision": precision,
        }
        | ({} if model is None else {"model": f"{type(model).__name__} {digest_of(network)}"})
        | ({} if encoder is None else {"encoder": f"{type(encoder).__name__} {digest_of(encoder)}"})
        | ({} if validation is None or not len(validation) else {"validation": validation.fingerprint})
        | ({} if embedding is None or vectors is None else {"embedding": embedding_identity(embedding)}),
        compiled=compile,
        recordable=model is None and encoder is None and isinstance(network, Classifier),
        tensorboard=tensorboard,
        progress=progress,
        vectors=vectors,
        seconds=seconds,
    )
    outcome = _run(job, device=device, precision=precision, processes=processes)
    job.model.to("cpu").eval()
    return Fit(
        job.model,
        chosen,
        method,
        seed,
        outcome.history,
        outcome.validation,
        outcome.weights,
        outcome.steps,
        outcome.seconds,
        model is not None,
        outcome.negative_weights,
        outcome.draws,
        outcome.negative_draws,
        None if encoder is None else EncoderNote(type(encoder).__name__, architecture_digest(encoder)),
    )


def check_trainable(table: ImageTable, batch_size: int, processes: int = 1) -> None:
    """Whether a two-class table can fill balanced batches.

    Raises:
        InputError: if it cannot; says what is missing.
    """
    wrong = np.setdiff1d(table.labels, (0, 1))
    if wrong.size:
        raise InputError(
            f"Labels must be 1 (positive) or 0 (negative); got {wrong[:5].tolist()} too. Map the labels to 0 and 1."
        )
    positives, negatives = len(table.positives), len(table.negatives)
    for name, count in (("positives (label 1)", positives), ("negatives (label 0)", negatives)):
        if count == 0:
            raise InputError(
                f"Training needs positives and negatives; got no {name} among {len(table)} images. "
                "Add images of that class."
            )
    if batch_size % (2 * processes):
        raise InputError(
            f"A batch of {batch_size} images cannot be shared by {processes} process(es), half positives each. "
            f"Choose a batch size that is a multiple of {2 * processes}."
        )
    if len(table) < batch_size or min(positives, negatives) < batch_size // 2:
        raise InputError(
            f"A batch of {batch_size} needs {batch_size // 2} positives and as many negatives; got {positives} and "
            f"{negatives}. Add images or choose a smaller batch size."
        )


def build(
    chosen: Recipe,
    method: str,
    image_size: int,
    channels: int,
    *,
    encoder: nn.Module | None = None,
    seed: int = 0,
) -> Any:
    """The untrained model of a method, its weights drawn from the seed."""
    shape = {"width": chosen.width, "depth": chosen.depth, "image_size": image_size, "channels": channels}
    generator = torch.Generator().manual_seed(child_seed(seed, "weights"))
    network: Any = copy.deepcopy(encoder)
    if encoder is not None and any(map(is_lazy, encoder.parameters())):
        with torch.random.fork_rng(devices=[]):  # its layers draw their weights when they first see an image
            torch.default_generator.manual_seed(child_seed(seed, "encoder"))
            feature_count(network, channels, image_size)
    if method in ("debiased", "uniform") and chosen.objective == "db-vae":
        return DBVAE(
            network,
            latent=chosen.latent,
            reconstruction=chosen.reconstruction,
            decoder_output=chosen.decoder_output,
            kl_weight=chosen.kl_weight,
            norm_momentum=chosen.norm_momentum,
            mirror=chosen.mirror,
            generator=generator,
            **shape,
        )
    if encoder is None:
        network = StandardCNN(1, norm_momentum=chosen.norm_momentum, generator=generator, **shape)
    else:
        head = glorot_linear(feature_count(network, channels, image_size), 1, generator)
        network = nn.Sequential(network, head)
    return Classifier(network, mirror=chosen.mirror)


def precision_of(name: str, device: str = "auto") -> str:
    """The precision that "auto" means: bf16-mixed where the processor multiplies it, 32-true elsewhere."""
    if name != "auto":
        return name
    if device_of(device).type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if device_of(device).type != "cpu":
        return "32-true"
    # Private, so a torch without them trains in 32 bit; the public test is also true where bf16 is emulated.
    asked = (
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return "bf16-mixed" if any(ask() for ask in asked if ask is not None) else "32-true"


def _run(job: Job, *, device: str, precision: str, processes: int) -> Outcome:
    fabric = fabric_of(device, precision, processes)
    if processes == 1:
        return train(fabric, job)
    return _run_in_processes(fabric, job)


def fabric_of(device: str, precision: str, processes: int) -> Fabric:
    """The engine.

    Raises:
        InputError: if this machine does not have it.
    """
    if (
        precision == "16-mixed" and device_of(device).type == "cpu"
    ):  # the engine would take another in its place
        raise InputError(
            "Expected a precision that a CPU has; got '16-mixed'. Try --precision bf16-mixed or 32-true."
        )
    try:
        return Fabric(
            accelerator=device,
            devices=processes,
            strategy="auto" if processes == 1 else "ddp_spawn",
            precision=precision,  # type: ignore[arg-type]
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"Expected a device and a precision that this machine has; got device {device!r}, precision "
            f"{precision!r}, {processes} process(es): {error}. Try --device cpu --precision 32-true."
        ) from error


def _run_in_processes(fabric: Fabric, job: Job) -> Outcome:
    """Workers hand their result over as a checkpoint: a file carries any size, a pipe does not."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = job.folder or Path(scratch)
        others = set(multiprocessing.active_children())
        try:
            fabric.launch(partial(_worker, job=replace(job, folder=folder)))
        except EquipoiseError:
            raise
        except KeyboardInterrupt:
            for worker in (
                set(multiprocessing.active_children()) - others
            ):  # a signal to us alone did not reach them
                worker.terminate()
                worker.join()
            raise
        except Exception as error:
            if refused(error):
                raise
            lines = [line for line in str(error).strip().splitlines() if line.strip()]
            raise TrainingError(
                f"A training process stopped: {lines[-1] if lines else error!r}. "
                "Run with --processes 1 to see the error where it happens."
            ) from error
        path = latest_checkpoint(folder)
        if path is None:
            raise TrainingError("The training processes ended without a checkpoint. Run with --processes 1.")
        checkpoint = read_checkpoint(path, job.settings)
    job.model.load_state_dict(checkpoint.part("model"))
    weights = {name: value.numpy() for name, value in checkpoint.part("sampling").items()}
    state = checkpoint.state
    sampler = sampler_of(job)
    sampler.load_state_dict(sampler_state(checkpoint))
    return Outcome(
        state["history"],
        state["validation"],
        weights.get("weights"),
        state["steps"],
        state["seconds"],
        weights.get("negative_weights"),
        None if sampler.weights is None else sampler.draws,
        None if sampler.negative_weights is None else sampler.negative_draws,
    )


def _worker(fabric: Fabric, job: Job) -> None:
    # What was sent lies in memory that all workers share; each needs a model of its own.
    train(fabric, replace(job, model=copy.deepcopy(job.model)))
