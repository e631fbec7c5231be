import pytest
import torch


@pytest.fixture
def generator():
    """A seeded generator: tests never touch torch's own."""
    return torch.Generator().manual_seed(0)
