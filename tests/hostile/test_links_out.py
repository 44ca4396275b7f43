"""Submits links to other submissions, to a dataset, or to the root."""

import os

import pytest
from jobs import run
from witnesses import EXACT, failed, said

from pytest_annmodal.manifests import manifest


def test_a_link_is_no_submission(tmp_path, strict):
    """A link is refused without reading its target."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "submission.py").write_text(EXACT)
    (tmp_path / "folder").symlink_to(victim)
    (tmp_path / "file.py").symlink_to(victim / "submission.py")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "submission.py").symlink_to(victim / "submission.py")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "module.py").write_text(EXACT)
    (tmp_path / "bench" / "config.yml").symlink_to("/etc/passwd")
    for name in ("folder", "file.py", "inner", "bench"):
        (found,) = manifest.read_submission(tmp_path / name)
        assert "is a link, which is not followed" in found.error
        assert "root:" not in found.error


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_neither_is_what_has_no_end(tmp_path, strict, kind):
    """A pipe or device is refused without reading."""
    path = tmp_path / "mine.py"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path.symlink_to("/dev/zero")
    (found,) = manifest.read_submission(path)
    assert "not a regular file" in found.error or "is a link" in found.error


def test_a_link_inside_leads_nowhere(attack, tmp_path, dataset, strict):
    """A link's target is not in the sandbox."""
    folder = tmp_path / "handed-in"
    folder.mkdir()
    (folder / "data").symlink_to(dataset)
    (folder / "all").symlink_to("/")
    body = """
        def fit(self, X):
            import json
            super().fit(X)
            here, found = os.path.dirname(__file__), []
            for name in ("data", "all/etc/shadow", "all/home"):
                try: found.append(os.stat(here + "/" + name).st_size and os.listdir(here + "/" + name))
                except OSError: pass
            print(json.dumps(found))
    """
    outcome = attack(body, implementation={"folder": str(folder)})[0]
    assert said(outcome) in ([], [[]])  # an empty /home


def _data(tmp_path):
    import numpy as np

    from pytest_annmodal.datasets import hdf5

    rows = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    path = tmp_path / "tiny.hdf5"
    hdf5.write(path, train=rows, test=rows[:5], metric="euclidean")
    return path


def test_a_file_that_is_swapped_for_a_link_later(dataset, tmp_path, strict):
    """A file replaced by a link after reading does not show the target."""
    secret = tmp_path / "secret"
    secret.write_text("the truth")
    source = tmp_path / "later.py"
    source.symlink_to(secret)
    (outcome,) = run(
        dataset,
        source,
        clock="parent",
        isolation="strict",
        phase_timeout_s=8.0,
        implementation={"trusted": False},
    )
    assert failed(outcome).kind in {"raised", "crashed"}
    assert "the truth" not in str(outcome)
