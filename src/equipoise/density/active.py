"""Latent units that carry something. The others sit at the prior whatever the image shows."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from equipoise.errors import InputError

__all__ = ["active_units"]


def active_units(
    means: Float[Tensor, "n k"],
    log_variances: Float[Tensor, "n k"] | None = None,
    *,
    threshold: float = 0.01,
) -> Bool[Tensor, " k"]:
    r"""Which latent units vary with the image.

    With log-variances: units whose mean KL to the prior, ½ E[σ² + μ² − 1 − log σ²], is above `threshold`
    nats. Without: units for which Var(μ) is above `threshold` times that of the unit that varies most.

    Args:
        means: Latent means μ.
        log_variances: λ = log σ²; None where the code has none.
        threshold: Nats, or a share of the largest variance.

    Returns:
        True for active units; all False for a collapsed latent space.

    Raises:
        InputError: if shapes differ, there are no rows, or `threshold` is negative.

    Source: Burda, Grosse, Salakhutdinov, 2016, Importance Weighted Autoencoders, section 5.2: Var(μ) > 0.01.
    Differs from it in: the variance is relative to the largest one, so codes may have any unit; for a VAE
    whose best units have variance near 1 it is the same.

    Example:
        >>> active_units(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
        tensor([ True, False])
    """
    if threshold < 0:
        raise InputError(f"threshold must be 0 or larger; got {threshold}. Use 0.01, as usual.")
    if (
        means.ndim != 2
        or not means.shape[0]
        or (log_variances is not None and log_variances.shape != means.shape)
    ):
        given = "none" if log_variances is None else tuple(log_variances.shape)
        raise InputError(
            "Means and log-variances must have the same shape (rows, units) with at least one row; got "
            f"{tuple(means.shape)} and {given}. Pass what one encoder gave."
        )
    mu = means.detach().to(torch.float64)
    if log_variances is None:
        variance = mu.var(0, correction=0)
        if not bool(variance.isfinite().all()):
            raise InputError(
                "Means must be finite and have variances that a number can hold; got others. Scale them, or look for a "
                "training run that diverged."
            )
        return variance > threshold * variance.max()
    log_variance = log_variances.detach().to(torch.float64)
    return 0.5 * (log_variance.exp() + mu.square() - 1 - log_variance).mean(0) > threshold
