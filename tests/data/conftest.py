import io
import os
import tarfile
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache, or waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(folder))
    return folder


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


@pytest.fixture
def shard():
    """Writes a tar archive of members (name, bytes), or of headers made beforehand."""

    def make(path, members):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as archive:
            for name, data in members:
                info = name
                if isinstance(name, str):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    return make


@pytest.fixture(scope="session")
def datasets():
    """Hugging Face's library, without bars."""
    found = pytest.importorskip("datasets")
    found.disable_progress_bars()
    return found
