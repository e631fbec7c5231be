import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache, or waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(folder))
    return folder


@pytest.fixture
def picture():
    """Makes the bytes of a small picture of one colour, so that a test can tell it by its pixels."""

    def make(colour=(200, 100, 50), size=(16, 16), format="PNG", mode="RGB", **options):
        file = io.BytesIO()
        Image.new("RGB", size, colour).convert(mode).save(file, format, **options)
        return file.getvalue()

    return make


@pytest.fixture
def write(picture):
    """Writes a small picture where it is told to."""

    def make(path, colour=(200, 100, 50), **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        options.setdefault("format", "PNG" if path.suffix == ".png" else "JPEG")
        path.write_bytes(picture(colour, **options))
        return path

    return make


@pytest.fixture(scope="session")
def shared_data():
    """Real pictures beside the checkout, where there are any."""
    root = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared")) / "data"
    if not root.is_dir():
        pytest.skip("no shared data")
    return root
