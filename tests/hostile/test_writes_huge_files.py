"""Writes a file that would fill the disk."""

import errno
import shutil

from witnesses import measured, said


def test_finds_no_place(attack, strict, tmp_path):
    """The real file system is read-only, and file size is limited."""
    body = f"""
        def fit(self, X):
            import json, resource
            super().fit(X)
            places, open_ones = [".", "/", "/home", "/root", "/var", "/data", "/usr", "/dev", "/proc",
                      os.path.dirname(__file__), os.path.dirname(np.__file__), {str(tmp_path)!r}], []
            for place in places:
                try:
                    with open(place + "/huge", "wb") as file: file.truncate(2**20)
                    open_ones.append(place)
                except OSError: pass
            try:
                with open("/tmp/huge", "wb") as file: file.truncate(2**40)
            except OSError as error: open_ones.append(error.errno)
            print(json.dumps(open_ones))
    """
    before = shutil.disk_usage(tmp_path).used
    *places, too_large = said(measured(attack(body)[0]))
    assert too_large == errno.EFBIG
    assert all(place == "." or place.startswith("/tmp/") for place in places)  # its own /tmp
    assert not list(tmp_path.rglob("huge"))
    assert shutil.disk_usage(tmp_path).used - before < 2**30


def test_process_level_bounds_each_file(attack, tmp_path):
    """At the process level the size of each file is limited."""
    body = f"""
        def fit(self, X):
            super().fit(X)
            with open({str(tmp_path / "huge")!r}, "wb") as file: file.truncate(2**40)
    """
    assert "File too large" in attack(body, level="process")[0].message
