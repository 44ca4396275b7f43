"""Opens the dataset with its truth, other submissions, stored results, and files at home."""

from pathlib import Path

import stored_cases
from witnesses import EXACT, measured, said

import pytest_annmodal
from pytest_annmodal.results.store import ResultStore

LOOK = """
    def fit(self, X):
        import json
        super().fit(X)
        found = []
        for place in {places!r}:
            try: found.append(open(place, "rb").read(5).decode("latin1"))
            except OSError: pass
            try: found += [name for name in os.listdir(place)]
            except OSError: pass
        print(json.dumps(found))
"""


def places(dataset, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(EXACT)
    home = tmp_path / "home" / ".ssh" / "id_rsa"
    home.parent.mkdir(parents=True)
    home.write_text("key")
    store = ResultStore(tmp_path / ".annmodal" / "results", "1" * 16)
    store.add([(stored_cases.measured(), None)])
    store.close()
    assert store.path is not None
    packaged = Path(pytest_annmodal.__file__).parent / "data" / "digits-64-euclidean.hdf5"
    assert packaged.exists()
    return [
        str(path)
        for path in (dataset, dataset.parent / "volume", other, home, store.path, packaged)
    ]


def test_finds_none_of_them(attack, strict, dataset, tmp_path):
    """None of these files exists in the sandbox, nor the packaged data."""
    system = [
        "/etc/shadow",
        "/etc/passwd",
        "/root/.ssh",
        "/home",
        "/data",
        "/var/log",
        "/mnt",
        "/run/docker.sock",
        "/sys",
        "/proc/kcore",
        str(Path.home() / ".ssh"),
    ]
    body = LOOK.format(places=places(dataset, tmp_path) + system)
    assert said(measured(attack(body)[0])) == []


def test_process_level_hides_nothing(attack, dataset, tmp_path):
    """At the process level it may read what the grader's user may: the result has a note."""
    body = LOOK.format(places=places(dataset, tmp_path))
    outcome = measured(attack(body, level="process")[0])
    assert "\x89HDF\r" in said(outcome)
    assert "a submission could read files" in outcome.notes[0]


WAYS = ["/proc/self/fd", "/proc/1/root", "/proc/self/cwd/../../.."]


def test_not_by_a_way_around(attack, strict, dataset):
    """Descriptors and links of ``/proc`` lead to no other file."""
    body = f"""
        def fit(self, X):
            import json
            super().fit(X)
            found = {{}}
            for place in {WAYS!r}:
                found[place] = []
                for folder, _, names in os.walk(place):
                    found[place] += [name for name in names if name.endswith(".hdf5")]
                    if len(found[place]) > 9 or folder.count("/") > 7: break
            print(json.dumps(found))
    """
    assert said(measured(attack(body)[0])) == {place: [] for place in WAYS}
