"""Adapters on small stand-ins that have the interfaces of the published networks."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.errors import InputError
from equipoise.latent import DBVAEGenerator, ModuleGenerator, ProgressiveGAN, StyleGAN, check_generator
from equipoise.nn import DBVAE


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Network(nn.Module):
    """Batch norm and dropout, so that training mode would show; ends in tanh unless told otherwise."""

    def __init__(self, latent=6, last=None):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.body = nn.Sequential(
                nn.Linear(latent, 32), nn.BatchNorm1d(32), nn.Dropout(0.5), nn.Linear(32, 3 * 16 * 16)
            )
        self.last = last or nn.Tanh()

    def forward(self, latents):
        return self.last(3 * self.body(latents)).reshape(-1, 3, 16, 16)


class PGAN:
    """As facebookresearch/pytorch_GAN_zoo: noise from torch's own chance, a network that normalises, a test method."""

    def __init__(self, labels=None):
        self.netG, self.labels = Network(12, nn.Identity()), labels

    def buildNoiseData(self, n_samples):
        return torch.randn(n_samples, 12), self.labels

    def test(self, latents, getAvG=False, toCPU=True):
        latents = latents / latents.square().mean(1, keepdim=True).sqrt()
        return self.netG(latents).detach().cpu()


class Mapping(nn.Module):
    def __init__(self, classes, layers):
        super().__init__()
        self.layers = layers
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.body = nn.Sequential(nn.Linear(7 + classes, 9), nn.Tanh())
        self.register_buffer("w_avg", torch.full((9,), 0.2))

    def forward(self, z, c, truncation_psi=1, truncation_cutoff=None):
        w = self.body(torch.cat([z, c], 1))
        if self.training:
            self.w_avg.copy_(w.detach().mean(0))
        return self.w_avg.lerp(w, truncation_psi)[:, None].repeat(1, self.layers, 1)


class Synthesis(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = Network(9)

    def forward(self, ws, noise_mode="random", force_fp32=False):
        assert ws.shape[1:] == (4, 9)
        images = self.network(ws.mean(1))
        return images + 0.5 * torch.rand_like(images) if noise_mode == "random" else images


class Style(nn.Module):
    """As NVIDIA's stylegan2-ada-pytorch and stylegan3."""

    def __init__(self, classes=0):
        super().__init__()
        self.z_dim, self.w_dim, self.c_dim, self.num_ws = 7, 9, classes, 4
        self.img_resolution, self.img_channels = 16, 3
        self.mapping, self.synthesis = Mapping(classes, 4), Synthesis()


def dbvae(latent=5):
    return DBVAE(latent=latent, width=4, depth=2, image_size=16, generator=seeded())


ADAPTERS = {
    "module": lambda: (ModuleGenerator(Network(), 6, output_range=(-1, 1), batch_size=3), 6),
    "module, resized": lambda: (ModuleGenerator(Network(), 6, (-1, 1), size=8), 6),
    "progressive": lambda: (ProgressiveGAN(PGAN()), 12),
    "style, z": lambda: (StyleGAN(Style()), 7),
    "style, w": lambda: (StyleGAN(Style(), space="w", truncation=0.7, size=8), 9),
    "style, of a class": lambda: (StyleGAN(Style(3), label=2), 7),
    "db-vae": lambda: (DBVAEGenerator(dbvae()), 5),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_is_a_generator_and_leaves_its_network_as_it_was(name):
    adapter, latent = ADAPTERS[name]()
    inner = next(value for key, value in vars(adapter).items() if key in ("module", "model", "network"))
    network = getattr(inner, "netG", inner).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    chance = torch.get_rng_state()
    size = getattr(adapter, "size", None) or 16
    assert adapter.latent == latent
    assert check_generator(adapter) == (3, size, size)
    latents = adapter.sample(10, generator=seeded())
    images = adapter.decode(latents)
    assert images.shape == (10, 3, size, size)
    assert not images.requires_grad
    assert images.std() > 0.01
    assert all(part.training for part in network.modules())
    assert torch.equal(torch.get_rng_state(), chance)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])
    torch.testing.assert_close(adapter.decode(latents.double()), images)  # any float type


def test_the_range_is_mapped_and_what_is_outside_is_clipped():
    values = torch.tensor([[-1.0, 0.0, 0.5, 1.0, 1.1, -1.2]])
    painter = nn.Unflatten(1, (1, 2, 3))
    images = ModuleGenerator(painter, 6, output_range=(-1, 1)).decode(values)
    torch.testing.assert_close(images.flatten(), torch.tensor([0.0, 0.5, 0.75, 1.0, 1.0, 0.0]))


def test_a_wrong_range_is_noticed():
    with pytest.raises(InputError, match=r"far outside.*output_range=\(-1, 1\)"):
        check_generator(ModuleGenerator(Network(), 6))
    with pytest.raises(InputError, match="values of black and of white"):
        ModuleGenerator(Network(), 6, output_range=(1, 0))
    with pytest.raises(InputError, match="latent must be 1 or larger"):
        ModuleGenerator(Network(), 0)


def test_a_module_of_another_latent_size():
    with pytest.raises(InputError, match="latent size is that of its network"):
        check_generator(ModuleGenerator(Network(), 8, (-1, 1)))


def test_a_prior_of_ones_own():
    def prior(count, generator):
        return torch.rand(count, 6, generator=generator)

    adapter = ModuleGenerator(Network(), 6, (-1, 1), prior=prior)
    assert check_generator(adapter) == (3, 16, 16)
    assert adapter.sample(200, generator=seeded()).min() >= 0


def test_resizing_averages():
    board = (torch.arange(64).reshape(8, 8) % 2).float()

    class Board(nn.Module):
        def forward(self, latents):
            return board.expand(len(latents), 1, 8, 8)

    images = ModuleGenerator(Board(), 2, size=2).decode(torch.zeros(3, 2))
    torch.testing.assert_close(images, torch.full((3, 1, 2, 2), 0.5), atol=0.1, rtol=0)


def test_a_progressive_gan_sees_only_directions_and_refuses_labels():
    adapter = ProgressiveGAN(PGAN())
    latents = adapter.sample(4, generator=seeded())
    torch.testing.assert_close(adapter.decode(3 * latents), adapter.decode(latents))
    with pytest.raises(InputError, match="without labels"):
        ProgressiveGAN(PGAN(labels=torch.zeros(1, 2)))
    with pytest.raises(InputError, match="buildNoiseData and test; got Network"):
        ProgressiveGAN(Network())


def test_style_spaces_agree_where_they_should():
    network = Style()
    in_z, in_w = StyleGAN(network, truncation=0.7), StyleGAN(network, space="w", truncation=0.7)
    noise = in_z.sample(6, generator=seeded())
    styles = in_w.sample(6, generator=seeded())
    torch.testing.assert_close(in_w.decode(styles), in_z.decode(noise))
    flat = StyleGAN(network, truncation=0.0)
    torch.testing.assert_close(flat.decode(noise)[0], flat.decode(noise)[1])
    first, second = (StyleGAN(Style(3), label=label).decode(noise) for label in (0, 1))
    assert (first - second).abs().max() > 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": Network()}, "Network lacks mapping, synthesis, z_dim"),
        ({"network": Style(), "space": "s"}, "space must be 'z' or 'w'"),
        ({"network": Style(3)}, "3 classes needs a label 0…2; got None"),
        ({"network": Style(3), "label": 3}, "got 3"),
        ({"network": Style(), "label": 0}, "needs label=None; got 0"),
    ],
)
def test_style_networks_that_do_not_fit(settings, message):
    with pytest.raises(InputError, match=message):
        StyleGAN(**settings)


def test_the_prior_of_a_dbvae_has_the_moments_of_the_codes(scene):
    model, table = dbvae(4), scene(300)
    with torch.no_grad():
        model.head.bias[1:] = torch.tensor([2.0, -1.0, 0.0, 0.5, -2.0, -2.0, -2.0, -2.0])
    adapter = DBVAEGenerator.from_images(model, table, batch_size=64)
    assert model.training
    latents = adapter.sample(40_000, generator=seeded(1)).double()
    # The same by drawing codes as training does.
    images = torch.from_numpy(table.batch(np.arange(300))).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        model.eval()
        found = model.encode(images)
    noise = torch.randn(200, 300, 4, generator=seeded(2))
    codes = (found.mean + (found.log_variance / 2).exp() * noise).flatten(0, 1).double()
    scale = codes.std()
    assert (latents.mean(0) - codes.mean(0)).abs().max() < 0.05 * scale
    assert (torch.cov(latents.T) - torch.cov(codes.T)).abs().max() < 0.05 * scale**2
    assert latents.mean(0)[0] > 1  # the standard prior would be at 0
    assert check_generator(adapter) == (3, 16, 16)


def test_a_dbvae_prior_that_cannot_be(scene):
    with pytest.raises(InputError, match="at least 2 images"):
        DBVAEGenerator.from_images(dbvae(), scene(10).take([0]))
    with pytest.raises(InputError, match=r"mean must be finite, of shape \(5,\)"):
        DBVAEGenerator(dbvae(), torch.zeros(4))
    broken = dbvae()
    nn.init.constant_(broken.head.weight, torch.nan)
    with pytest.raises(InputError, match="Codes must be finite"):
        DBVAEGenerator.from_images(broken, scene(20))


def test_adapters_cannot_be_changed():
    adapter = DBVAEGenerator(dbvae())
    with pytest.raises(AttributeError):
        adapter.batch_size = 3
