"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Two threads of torch wait for each other where others need the processor: 5 s of training took six
# minutes on a busy machine. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time. The first call of a compiled function loads it, and a busy machine is
# no failure.
settings.register_profile("seeded", deadline=None, derandomize=True)
settings.register_profile("short", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("seeded")

# Folders of what starts nodes, trains or measures at length, and what of them `--short` keeps.
LONG = {"launch": (), "ros": ("test_chain.py",), "studies": (), "training": ()}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The form of `make test-fast`."""
    told = "of nodes one chain over DDS, nothing of training and studies, fewer examples"
    parser.addoption("--short", action="store_true", help=told)


def pytest_configure(config: pytest.Config) -> None:
    """Fewer examples of properties, and fewer damaged files."""
    if config.getoption("short", default=False):
        settings.load_profile("short")
        os.environ.setdefault("SES_GCN_MUTANTS", "50")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--short`, leave out the files of long folders but for those that stand for them."""
    kept = LONG.get(collection_path.parent.name)
    left_out = kept is not None and collection_path.match("test_*.py")
    if config.getoption("short", default=False) and left_out and collection_path.name not in kept:
        return True
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `-n`, files go beside each other but for those whose nodes would wait for another's."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            nodes = item.path.parent.name in {"ros", "launch"}
            item.add_marker(pytest.mark.xdist_group("nodes" if nodes else item.path.stem))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked gpu are for a machine that has one."""
    if item.get_closest_marker("gpu") is not None:
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("torch finds no GPU")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of recordings, official weights and media that lies beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SES_GCN_SHARED", beside)) / "data"
    if not folder.is_dir():
        pytest.skip(f"the recordings are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def media(shared_data: Path) -> Path:
    """Folder of videos, and of MediaPipe's lite model."""
    return shared_data / "media"


@pytest.fixture(scope="session")
def model(media: Path) -> str:
    """Path of MediaPipe's lite model."""
    return str(media / "pose_landmarker_lite.task")
