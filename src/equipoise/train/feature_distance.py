"""How far generated images are from real ones, by the features of a classifier.

The same formulas as FID and KID, but not of Inception features: numbers can be compared only where the features are
the same, and never with published FID or KID.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.errors import InputError

__all__ = ["frechet_distance", "kernel_distance"]


def kernel_distance(real: Float[Tensor, "n features"], generated: Float[Tensor, "m features"]) -> float:
    r"""Squared maximum mean discrepancy with the kernel (xᵀy / d + 1)³, unbiased.

    0 in the mean where both come from one distribution, so that it may be slightly negative; larger is farther. It
    does not depend on how many images there are, and suits few.

    Raises:
        InputError: if there are fewer than two images, or a feature is not finite.

    Source: Bińkowski, Sutherland, Arbel, Gretton, Demystifying MMD GANs, ICLR 2018. Differs from it in: features of
    any network, all images at once in place of means over subsets.

    Example:
        >>> round(kernel_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])), 3)
        297.5
    """
    x, y = _checked(real, generated)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(within[0] + within[1] - 2 * kernel(x, y).mean())


def frechet_distance(real: Float[Tensor, "n features"], generated: Float[Tensor, "m features"]) -> float:
    r"""|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½): distance of two normal distributions fitted to the features.

    ≥ 0, larger is farther. Biased upwards with few images: compare only at equal counts.

    Raises:
        InputError: if there are fewer than two images, or a feature is not finite.

    Source: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, NeurIPS 2017. Differs from it in: features of any
    network.

    Example:
        >>> round(frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]])), 3)
        9.0
    """
    x, y = _checked(real, generated)
    centred = [(values - values.mean(0)) / (len(values) - 1) ** 0.5 for values in (x, y)]
    # With Σ₁ = AᵀA and Σ₂ = BᵀB the trace of the root is the sum of the singular values of A Bᵀ; Q of a QR
    # decomposition does not change them.
    left, right = (torch.linalg.qr(values, mode="r").R for values in centred)
    overlap = torch.linalg.svdvals(left @ right.T).sum()
    spread = sum(values.square().sum() for values in centred)
    return float((x.mean(0) - y.mean(0)).square().sum() + spread - 2 * overlap)


def _checked(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    for name, values in (("real", real), ("generated", generated)):
        if values.ndim != 2 or len(values) < 2 or not torch.isfinite(values).all():
            raise InputError(
                f"Expected finite features of at least two {name} images, one row an image; got shape "
                f"{tuple(values.shape)}{'' if torch.isfinite(values).all() else ' with NaN or infinity'}. "
                "Give more images, or another network."
            )
    return real.double(), generated.double()
