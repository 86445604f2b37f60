"""Model files: fetched once, checked always, and a clear sentence where that can't be."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from pathlib import Path

import pytest

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.pose import landmarker
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.landmarker import (
    PoseLandmarker,
    cache_folder,
    download,
    locate_model,
    model_url,
)

CONTENT = b"a model" * 30_000
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SES_GCN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server():
    """Serves CONTENT, and half of it under /cut, as if the connection broke."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/none":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[: len(CONTENT) // (2 if self.path == "/cut" else 1)])

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_model_is_fetched_once_and_then_found(cache, server, monkeypatch):
    monkeypatch.setitem(landmarker.CHECKSUMS, "lite", CHECKSUM)
    monkeypatch.setattr(landmarker, "model_url", lambda name: f"{server}/{name}")
    path = locate_model("lite")
    assert path == cache / "pose_landmarker_lite.task"
    assert path.read_bytes() == CONTENT
    monkeypatch.setattr(landmarker, "model_url", lambda name: "http://127.0.0.1:9/")
    assert locate_model("lite") == path


@pytest.mark.parametrize("page", ["/cut", "/none"])
def test_a_broken_download_leaves_nothing_and_says_what_to_do(tmp_path, server, page):
    target = tmp_path / "cache" / "model.task"
    with pytest.raises(ModelError) as caught:
        download(f"{server}{page}", CHECKSUM, target)
    assert server in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_a_model_that_cannot_be_fetched_names_its_source_and_its_place(cache, monkeypatch):
    monkeypatch.setattr(landmarker, "_BASE", "http://127.0.0.1:9")
    with pytest.raises(ModelError) as caught:
        locate_model("heavy")
    assert model_url("heavy") in str(caught.value)
    assert f"put it at {cache / 'pose_landmarker_heavy.task'}" in str(caught.value)


def test_another_file_under_a_models_name_is_refused(cache, server, tmp_path):
    cache.mkdir()
    (cache / "pose_landmarker_full.task").write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"has SHA-256 [0-9a-f]{64}, not 5134a3aa.*delete it"):
        locate_model("full")
    with pytest.raises(ModelError, match="has SHA-256"):
        download(f"{server}/any", "0" * 64, tmp_path / "model.task")
    assert not (tmp_path / "model.task").exists()


def test_a_path_is_taken_as_it_is(tmp_path):
    (tmp_path / "own.task").write_bytes(b"own")
    assert locate_model(str(tmp_path / "own.task")) == tmp_path / "own.task"
    with pytest.raises(ModelError, match=r"neither a file nor one of lite, full, heavy"):
        locate_model(str(tmp_path / "missing.task"))
    with pytest.raises(ModelError, match=r"^hand model 'missing.task' is neither a file nor"):
        PoseLandmarker(PoseConfig(model=str(tmp_path / "own.task"), hands="missing.task"))


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.delenv("SES_GCN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "ses_gcn_ros"
    monkeypatch.setenv("SES_GCN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_models_lie_where_mediapipe_publishes_them():
    for name, path in (
        ("lite", "pose_landmarker/pose_landmarker_lite/float16/1/pose_landmarker_lite.task"),
        ("hand", "hand_landmarker/hand_landmarker/float16/1/hand_landmarker.task"),
    ):
        assert model_url(name).endswith(f"/mediapipe-models/{path}")


def test_every_checksum_is_one():
    assert set(landmarker.CHECKSUMS) == {"lite", "full", "heavy", "hand"}
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in landmarker.CHECKSUMS.values())
