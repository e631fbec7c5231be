import pytest


@pytest.fixture(scope="session")
def planted(planted_slices):
    return planted_slices
