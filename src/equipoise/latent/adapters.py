"""Generators made of networks that exist: each adapter is a frozen `Generator` around somebody's network.

The network runs where its weights are, in evaluation mode and without gradients, and is left as it was. Nothing
here downloads or unpickles: load the weights as their authors say, and hand the network over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.latent.frozen import frozen, in_batches
from equipoise.nn import DBVAE, home, pixels

__all__ = ["DBVAEGenerator", "ModuleGenerator", "ProgressiveGAN", "StyleGAN"]


@dataclass(frozen=True, eq=False)
class ModuleGenerator:
    """Any module that maps latents (n, k) to images.

    Args:
        module: Takes latents of shape (n, k). For one that wants (n, k, 1, 1), put `nn.Unflatten(1, (k, 1, 1))` before.
        latent: Size k of a latent.
        output_range: Pixel values of the module for black and white; what lies outside is clipped.
        size: Height and width to resize images to, in pixels; None leaves them.
        batch_size: Images decoded at a time.
        prior: Latents from a count and a torch.Generator; None takes N(0, I).

    Raises:
        InputError: if a number is not possible, or on decoding, if more than a tenth of the pixels are far outside
            `output_range`.
    """

    module: nn.Module
    latent: int
    output_range: tuple[float, float] = (0.0, 1.0)
    size: int | None = None
    batch_size: int = 256
    prior: Callable[[int, torch.Generator], Tensor] | None = None

    def __post_init__(self) -> None:
        if not self.output_range[0] < self.output_range[1]:
            raise InputError(
                f"output_range must be the values of black and of white; got {self.output_range}. "
                "A module that ends in tanh has (-1, 1)."
            )
        _check_sizes(self.latent, self.size, self.batch_size)

    def sample(self, count: int, *, generator: torch.Generator) -> Float[Tensor, "count k"]:
        """Latents from the prior."""
        if self.prior is not None:
            return self.prior(count, generator)
        return torch.randn(count, self.latent, generator=generator)

    def decode(self, latents: Float[Tensor, "n k"]) -> Float[Tensor, "n channels height width"]:
        """Images in [0, 1]."""
        device, dtype = home(self.module)
        low, high = self.output_range

        def images(part: Tensor) -> Tensor:
            raw: Tensor = self.module(part.to(device, dtype))
            slack = 0.1 * (high - low)
            outside = float(((raw < low - slack) | (raw > high + slack)).float().mean())
            if outside > 0.1:
                raise InputError(
                    f"The module's pixels must be in {low:g}…{high:g}; got {outside:.0%} of them far outside, "
                    f"{float(raw.min()):.3g}…{float(raw.max()):.3g}. Say output_range=(-1, 1), or what it is."
                )
            return _images(raw, self.output_range, self.size)

        with frozen(self.module):
            return in_batches(images, latents, self.batch_size)


@dataclass(frozen=True, eq=False)
class ProgressiveGAN:
    """The progressive GAN of torch hub; trained on CelebA it is the generator of the published method.

    `torch.hub.load("facebookresearch/pytorch_GAN_zoo:hub", "PGAN", model_name="celeba", pretrained=True,
    useGPU=False)` gives the model: 512 numbers a latent, images of 128×128. Its network divides a latent by its
    root mean square first, so that only the direction of a latent counts.

    Tested on a stand-in of the same interface: an object with `buildNoiseData(n)` → (latents, labels), where labels
    are None, and `test(latents)` → images in [-1, 1].

    Args:
        model: What torch hub gives.
        size: Height and width to resize images to, in pixels; None leaves them.
        batch_size: Images decoded at a time.

    Raises:
        InputError: if the model is another, or wants labels.

    Source: Karras, Aila, Laine, Lehtinen, Progressive Growing of GANs, ICLR 2018; facebookresearch/pytorch_GAN_zoo.
    Differs from it in: latents come from an explicit seed; the debiasing authors' program stretches the contrast of
    each image it saves, here [-1, 1] is mapped to [0, 1] as it is.
    """

    model: Any
    size: int | None = None
    batch_size: int = 64
    latent: int = field(init=False)

    def __post_init__(self) -> None:
        if not (hasattr(self.model, "buildNoiseData") and hasattr(self.model, "test")):
            raise InputError(
                "Expected torch hub's PGAN, with buildNoiseData and test; got "
                f"{type(self.model).__name__}. For a plain network take ModuleGenerator."
            )
        with torch.random.fork_rng(devices=[]):  # its noise comes from torch's own chance
            noise, labels = self.model.buildNoiseData(1)
        if labels is not None:
            raise InputError(
                "Expected a model without labels; got one that was trained with them. Take the model 'celeba'."
            )
        object.__setattr__(self, "latent", int(noise.shape[1]))
        _check_sizes(self.latent, self.size, self.batch_size)

    def sample(self, count: int, *, generator: torch.Generator) -> Float[Tensor, "count k"]:
        """Latents from N(0, I)."""
        return torch.randn(count, self.latent, generator=generator)

    def decode(self, latents: Float[Tensor, "n k"]) -> Float[Tensor, "n channels height width"]:
        """Images in [0, 1]."""
        network = getattr(self.model, "netG", None)
        with frozen(network):
            return in_batches(
                lambda part: _images(self.model.test(part.float()), (-1.0, 1.0), self.size),
                latents,
                self.batch_size,
            )


@dataclass(frozen=True, eq=False)
class StyleGAN:
    """A generator with the interface of NVIDIA's stylegan2-ada-pytorch and stylegan3.

    Noise inputs are held constant and the arithmetic is float32, so that a latent has one image.

    Tested on a stand-in of the same interface: `mapping(z, c, truncation_psi=...)` → (n, num_ws, w_dim),
    `synthesis(w, noise_mode=..., force_fp32=...)` → images in [-1, 1], and `z_dim`, `w_dim`, `c_dim`, `num_ws`,
    `img_resolution`, `img_channels`.

    Args:
        network: G, or better its moving average G_ema.
        space: Whose vectors are the latents: "z", N(0, I), or "w", what the mapping makes of it (one vector for all
            layers). Attributes are usually nearer to linear in w.
        truncation: ψ; below 1 draws w towards its mean: less variety, fewer spoilt images.
        label: Class of a conditional network; needed there.
        size: Height and width to resize images to, in pixels; None leaves them.
        batch_size: Images decoded at a time.

    Raises:
        InputError: if the network has another interface, or a setting is not possible.

    Source: Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020.
    """

    network: Any
    space: Literal["z", "w"] = "z"
    truncation: float = 1.0
    label: int | None = None
    size: int | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        names = (
            "mapping",
            "synthesis",
            "z_dim",
            "w_dim",
            "c_dim",
            "num_ws",
            "img_resolution",
            "img_channels",
        )
        missing = [name for name in names if not hasattr(self.network, name)]
        if missing:
            raise InputError(
                f"Expected a StyleGAN generator with {', '.join(names)}; {type(self.network).__name__} lacks "
                f"{', '.join(missing)}. For another network take ModuleGenerator."
            )
        if self.space not in ("z", "w"):
            raise InputError(f"space must be 'z' or 'w'; got {self.space!r}. Choose one of them.")
        classes = int(self.network.c_dim)
        if (self.label is None) != (classes == 0) or not 0 <= (self.label or 0) < max(1, classes):
            raise InputError(
                f"A network of {classes} classes needs "
                f"{f'a label 0…{classes - 1}' if classes else 'label=None'}; got {self.label}. Give that."
            )
        _check_sizes(self.latent, self.size, self.batch_size)

    @property
    def latent(self) -> int:
        """Size of a vector of z or of w."""
        return int(self.network.z_dim if self.space == "z" else self.network.w_dim)

    def sample(self, count: int, *, generator: torch.Generator) -> Float[Tensor, "count k"]:
        """Latents from N(0, I), mapped if they are of w."""
        noise = torch.randn(count, int(self.network.z_dim), generator=generator)
        if self.space == "z":
            return noise
        with frozen(self.network):
            return in_batches(lambda part: self._mapped(part)[:, 0].float(), noise, self.batch_size)

    def decode(self, latents: Float[Tensor, "n k"]) -> Float[Tensor, "n channels height width"]:
        """Images in [0, 1]."""
        device, _ = home(self.network)

        def images(part: Tensor) -> Tensor:
            if self.space == "z":
                styles = self._mapped(part)
            else:
                styles = part.float().to(device)[:, None].repeat(1, int(self.network.num_ws), 1)
            raw = self.network.synthesis(styles, noise_mode="const", force_fp32=True)
            return _images(raw, (-1.0, 1.0), self.size)

        with frozen(self.network):
            return in_batches(images, latents, self.batch_size)

    def _mapped(self, noise: Tensor) -> Float[Tensor, "n num_ws w_dim"]:
        device, _ = home(self.network)
        labels = torch.zeros(len(noise), int(self.network.c_dim), device=device)
        if self.label is not None:
            labels[:, self.label] = 1
        styles: Tensor = self.network.mapping(
            noise.float().to(device), labels, truncation_psi=self.truncation
        )
        return styles


@dataclass(frozen=True, eq=False)
class DBVAEGenerator:
    """The decoder of our own DB-VAE: needs no GAN, and its images are blurred.

    Its prior N(0, I) is what the codes were drawn towards, by a small weight only. `from_images` draws latents like the
    codes that images really have. Decode what the model was taught to decode: the positives.

    Args:
        model: A trained DB-VAE.
        mean: Mean of the latents, shape (k,); None is 0.
        factor: L, shape (k, k), where L Lᵀ is their covariance; None is the identity.
        batch_size: Images decoded at a time.

    Raises:
        InputError: if a shape does not fit the model's codes.
    """

    model: DBVAE
    mean: Float[Tensor, " k"] | None = None
    factor: Float[Tensor, "k k"] | None = None
    batch_size: int = 256

    def __post_init__(self) -> None:
        k = self.latent
        for name, values, shape in (("mean", self.mean, (k,)), ("factor", self.factor, (k, k))):
            if values is not None and (values.shape != shape or not torch.isfinite(values).all()):
                raise InputError(
                    f"{name} must be finite, of shape {shape}; got {tuple(values.shape)}. Use from_images."
                )
        _check_sizes(k, None, self.batch_size)

    @classmethod
    def from_images(cls, model: DBVAE, images: ImageTable, *, batch_size: int = 256) -> DBVAEGenerator:
        """With a normal prior that has the mean and covariance of the codes of images.

        A code has a mean μ and variances σ²; over all images their covariance is Cov(μ) + diag(mean of σ²).

        Args:
            model: A trained DB-VAE.
            images: At least 2, best the positives that it was trained on.
            batch_size: Images at a time.

        Raises:
            InputError: if there are fewer than 2 images or a code is not finite.
        """
        if len(images) < 2:
            raise InputError(f"A covariance needs at least 2 images; got {len(images)}. Give more.")
        device, dtype = home(model)

        def codes(rows: Tensor) -> Tensor:
            found = model.encode(pixels(torch.from_numpy(images.batch(rows.numpy()))).to(device, dtype))
            return torch.cat([found.mean, found.log_variance.exp()], 1).double()

        with frozen(model):
            found = in_batches(codes, torch.arange(len(images)), batch_size)
        if not torch.isfinite(found).all():
            raise InputError("Codes must be finite; got NaN or infinity. Check that the training converged.")
        means, variances = found[:, : model.latent], found[:, model.latent :]
        away = means - means.mean(0)
        covariance = away.T @ away / (len(images) - 1) + torch.diag(variances.mean(0))
        return cls(model, means.mean(0).float(), torch.linalg.cholesky(covariance).float(), batch_size)

    @property
    def latent(self) -> int:
        """Size of a code."""
        return self.model.latent

    def sample(self, count: int, *, generator: torch.Generator) -> Float[Tensor, "count k"]:
        """Latents from the normal prior."""
        latents = torch.randn(count, self.latent, generator=generator)
        latents = latents if self.factor is None else latents @ self.factor.T
        return latents if self.mean is None else latents + self.mean

    def decode(self, latents: Float[Tensor, "n k"]) -> Float[Tensor, "n channels height width"]:
        """Images, clipped to [0, 1]."""
        device, _ = home(self.model)
        with frozen(self.model):
            return in_batches(
                lambda part: _images(self.model.decode(part.to(device)), (0.0, 1.0), None),
                latents,
                self.batch_size,
            )


def _images(
    raw: Tensor, output_range: tuple[float, float], size: int | None
) -> Float[Tensor, "n channels height width"]:
    low, high = output_range
    images = ((raw.float() - low) / (high - low)).clamp(0, 1)
    if size is not None and images.ndim == 4 and images.shape[-2:] != (size, size):
        images = functional.interpolate(images, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
    return images


def _check_sizes(latent: int, size: int | None, batch_size: int) -> None:
    for name, value in (("latent", latent), ("size", size), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be 1 or larger; got {value}. Choose a larger {name}.")
