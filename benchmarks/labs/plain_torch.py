"""The lab in plain PyTorch: standard CNN and DB-VAE, written down as one would, with torch's own defaults.

python -m labs.plain_torch --help      # in benchmarks/
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from labs.lab import KL_WEIGHT, LATENT, LEARNING_RATE, main


class Encoder(nn.Module):
    """Four convolutions with hand-made 'same' padding, ReLU, batch norm; dense 512; dense outputs."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        plan = [(3, 12, 5), (12, 24, 5), (24, 48, 3), (48, 72, 3)]
        self.convolutions = nn.ModuleList([nn.Conv2d(i, o, k, stride=2) for i, o, k in plan])
        self.norms = nn.ModuleList([nn.BatchNorm2d(o, eps=1e-3, momentum=0.01) for _, o, _ in plan])
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(1152, 512), nn.ReLU(), nn.Linear(512, outputs))

    def forward(self, images: Tensor) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            padding = (1, 2, 1, 2) if convolution.kernel_size[0] == 5 else (0, 1, 0, 1)
            images = norm(functional.relu(convolution(functional.pad(images, padding))))
        return self.dense(images)


class Decoder(nn.Module):
    """Dense; four transposed convolutions cut to twice the size; ReLU everywhere."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        plan = [(72, 48, 3, 0), (48, 24, 3, 0), (24, 12, 5, 1), (12, 3, 5, 1)]
        self.dense = nn.Linear(latent, 1152)
        self.convolutions = nn.ModuleList(
            [nn.ConvTranspose2d(i, o, k, stride=2, padding=p) for i, o, k, p in plan]
        )

    def forward(self, codes: Tensor) -> Tensor:
        images = functional.relu(self.dense(codes)).view(-1, 72, 4, 4)
        for convolution in self.convolutions:
            size = 2 * images.shape[-1]
            images = functional.relu(convolution(images)[..., :size, :size])
        return images


class Standard(nn.Module):
    """The plain classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(1)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raw = self.encoder(images)
        return raw[:, 0], raw[:, 1:], raw[:, 1:]

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(self.encode(images)[0], labels)


class DBVAE(nn.Module):
    """Every image is decoded, the loss of the negatives' pictures multiplied by 0."""

    def __init__(self, latent: int = LATENT) -> None:
        super().__init__()
        self.latent = latent
        self.encoder, self.decoder = Encoder(2 * latent + 1), Decoder(latent)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raw = self.encoder(images)
        return raw[:, 0], raw[:, 1 : self.latent + 1], raw[:, self.latent + 1 :]

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        logit, mean, log_variance = self.encode(images)
        codes = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        reconstruction = (images - self.decoder(codes)).abs().mean((1, 2, 3))
        kl = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(1)
        classification = functional.binary_cross_entropy_with_logits(logit, labels, reduction="none")
        return (classification + labels * (KL_WEIGHT * kl + reconstruction)).mean()


class Program:
    """A model and its optimiser, between NumPy arrays."""

    def __init__(self, model: Standard | DBVAE) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        self.model.train()
        loss = self.model.loss(_tensor(images), torch.from_numpy(labels))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def _encoded(self, images: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        self.model.eval()
        return self.model.encode(_tensor(images))

    def means(self, images: np.ndarray) -> np.ndarray:
        return self._encoded(images)[1].numpy()

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self._encoded(images)[0].numpy()

    def weights(self) -> list[np.ndarray]:
        return [tensor.numpy() for tensor in self.model.state_dict().values()]

    def load(self, weights: list[np.ndarray]) -> None:
        tensors = map(torch.from_numpy, weights)
        self.model.load_state_dict(dict(zip(self.model.state_dict(), tensors, strict=True)))


def _tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def start(model: str, seed: int) -> Program:
    torch.manual_seed(seed)
    return Program(Standard() if model == "cnn" else DBVAE())


if __name__ == "__main__":
    main(
        start,
        torch.set_num_threads,
        {"torch": torch.__version__, "numpy": np.__version__},
        __doc__.splitlines()[0],
    )
