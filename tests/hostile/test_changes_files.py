"""Rewrites its own file, the package or numpy, or writes files for the next worker."""

import pathlib

import numpy as np
from witnesses import measured, said

import pytest_annmodal


def test_finds_all_of_them_read_only(attack, strict, tmp_path):
    """All of these files are read-only."""
    package = pathlib.Path(pytest_annmodal.__file__).parent
    targets = [
        str(package / "worker" / "worker.py"),
        str(package / "planted.py"),
        np.__file__,
        str(pathlib.Path(np.__file__).parent.parent / "planted.pth"),
        "/usr/bin/planted",
    ]
    before = (package / "worker" / "worker.py").read_bytes()
    body = f"""
        def fit(self, X):
            import json
            super().fit(X)
            done = []
            def attempt(path, how):
                try:
                    how()
                    done.append(path)
                except OSError: pass
            for path in [__file__, *{targets!r}]:
                attempt(path, lambda: open(path, "ab"))
                attempt(path, lambda: os.chmod(path, 0o777))
                attempt(path, lambda: os.unlink(path))
                attempt(path, lambda: os.rename(path, path + "x"))
            for path in {targets!r}:
                attempt(path, lambda: os.symlink("/tmp", path + ".planted"))
            try: os.symlink("/tmp", __file__ + ".planted")  # in its own /tmp, on no disk
            except OSError: pass
            print(json.dumps(done))
    """
    assert said(measured(attack(body)[0])) == []
    assert (package / "worker" / "worker.py").read_bytes() == before
    assert list(package.glob("planted*")) == []
    assert sorted(item.name for item in (tmp_path / "handed-in").iterdir()) == ["mine.py"]
