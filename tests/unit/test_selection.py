"""From settings to cases and jobs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from session_data import INDEX, dataset, implementation

from pytest_annmodal.datasets import catalog, hdf5, locate
from pytest_annmodal.datasets.lines import Reporter
from pytest_annmodal.datasets.volume.volume import local_volume, resolve
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests.handed_in import handed_in
from pytest_annmodal.model import Case, Dataset, Implementation
from pytest_annmodal.session import fitting, planning, selection
from pytest_annmodal.settings.config import Settings


def names(found: list[Implementation]) -> list[str]:
    return [item.name for item in found]


def test_expand() -> None:
    """Pairs whose metric fits, datasets outermost; an unknown metric or a broken file always."""
    items = [
        implementation("a", metrics=("euclidean",)),
        implementation("b", metrics=("angular",)),
        implementation("broken", metrics=("dot",), error="no class"),
    ]
    datasets = [dataset("e"), dataset("a", "angular"), dataset("unknown", None)]
    cases = fitting.expand(items, datasets, k=3, rounds=2)
    assert [(c.dataset.name, c.implementation.name) for c in cases] == [
        ("e", "a"),
        ("e", "broken"),
        ("a", "b"),
        ("a", "broken"),
        ("unknown", "a"),
        ("unknown", "b"),
        ("unknown", "broken"),
    ]
    assert {(c.k, c.rounds) for c in cases} == {(3, 2)}
    assert cases[0].id == "a[b=0,s=0]-e-k3"


def test_jobs() -> None:
    """One job per build, in order of its first case; a case counts once."""
    cases = fitting.expand([implementation("a", 2, 2)], [dataset()], k=10, rounds=3)
    mixed = [cases[0], cases[2], cases[1], cases[0]]
    jobs = planning.jobs(mixed, Settings())
    assert [[search.case_id for search in job.searches] for job in jobs] == [
        ["a[b=0,s=0]-d-k10", "a[b=0,s=1]-d-k10"],
        ["a[b=1,s=0]-d-k10"],
    ]
    assert jobs[0].implementation.variants == ()


@pytest.mark.parametrize(
    ("trusted", "asked", "clock"),
    [
        (True, "auto", "worker"),
        (False, "auto", "parent"),
        (True, "parent", "parent"),
    ],
)
def test_clock(*, trusted: bool, asked: str, clock: str) -> None:
    """A submission is timed by the parent unless the user says otherwise."""
    item = implementation(trusted=trusted)
    settings = Settings(clock=asked, memory_mb=2, subset=5, queries=7, threads=3)
    limits = planning.limits(settings, item)
    assert limits.clock == clock
    assert (limits.memory_bytes, limits.subset, limits.n_queries, limits.threads) == (
        2 * 2**20,
        5,
        7,
        3,
    )


def test_submissions(tmp_path: Path) -> None:
    """Files, folders, globs and dead links are found once; generated files are ignored."""
    for place in ("x/index.py", "y/index.py", "z/one.py", "z/two.py", "z/__pycache__/one.pyc"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(INDEX)
    for name in ("__MACOSX/._one.py", "Thumbs.db", "desktop.ini", "one.py~"):
        (tmp_path / "z" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "z" / name).write_text("left behind")
    (tmp_path / "dead.py").symlink_to("nowhere")
    named = ("x/index.py", "y/index.py", "z/*", "z/._*", "dead.py", "z/one.py")
    with pytest.raises(ConfigurationError, match=r"nothing matches '\._\*' in"):
        selection.submissions(Settings(rootdir=tmp_path, submission=named))
    settings = Settings(rootdir=tmp_path, submission=tuple(n for n in named if n != "z/._*"))
    found = selection.submissions(settings)
    assert names(found) == ["x-index", "y-index", "one", "two", "dead"]
    assert not any(item.trusted for item in found)
    assert [bool(item.error) for item in found] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*/index.py"], {"ada": "ada/index.py", "bob": "bob/index.py", "eve": "eve/index.py"}),
        (["ada/index.py"], {"index": "index.py"}),
        (["ad*/index.py"], {"ada": "ada/index.py"}),
        (
            ["ada/index.py", "bob/index.py"],
            {"ada-index": "ada/index.py", "bob-index": "bob/index.py"},
        ),
        (
            ["*/*.py"],
            {
                "ada-index": "ada/index.py",
                "bob-index": "bob/index.py",
                "eve-index": "eve/index.py",
                "eve": "eve/submission.py",
            },
        ),
        (["*"], {"ada": "ada", "bob": "bob", "eve": "eve"}),
        (["*/hw3/x.py"], {"ada": "ada/hw3/x.py", "bob": "bob/hw3/x.py"}),
        (["*/hw3"], {"ada": "ada/hw3", "bob": "bob/hw3"}),
        (["*/hw*/x.py"], {"ada-hw3": "ada/hw3/x.py", "bob-hw3": "bob/hw3/x.py"}),
        (["ada/hw3", "bob/hw3"], {"ada-hw3": "ada/hw3", "bob-hw3": "bob/hw3"}),
        (["eve/submission.py", "eve"], {"eve": "submission.py", "eve~2": "eve"}),
    ],
)
def test_names_of_submissions(
    tmp_path: Path, patterns: list[str], expected: dict[str, str]
) -> None:
    """The part matched by ``*`` is the name; equal names get the folder's name too."""
    for name in ("ada/index.py", "bob/index.py", "eve/index.py", "eve/submission.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("ada", "bob"):
        (tmp_path / name / "hw3").mkdir()
        (tmp_path / name / "hw3" / "x.py").touch()
    found = handed_in(Settings(rootdir=tmp_path, submission=tuple(patterns)))
    assert {one.name: one.shown for one in found} == expected
    assert len(found) == len(expected)


def test_a_name_does_not_hang_on_other_submissions(tmp_path: Path) -> None:
    """A name does not depend on which other submissions exist."""
    for number, name in enumerate(("ada", "bob", "eve")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.py").touch()
        found = handed_in(Settings(rootdir=tmp_path, submission=("*/index.py",)))
        assert [one.name for one in found] == ["ada", "bob", "eve"][: number + 1]


def test_names_that_are_still_equal(tmp_path: Path) -> None:
    """Names that become equal get a number."""
    for name in ("?.py", "!.py"):
        (tmp_path / name).touch()
    found = handed_in(Settings(rootdir=tmp_path, submission=("*.py",)))
    assert len({one.name for one in found}) == 2
    assert [one.shown for one in found] == ["!.py", "?.py"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y/z/*.py", r"nothing matches 'z/\*\.py' in \S+/y\.$"),
        ("y/__pycach*", r"nothing matches '__pycach\*' in \S+/y\.$"),
        ("y/indx.py", r"there is no 'indx\.py' in \S+/y; did you mean 'index\.py'\?$"),
        ("y" * 300, r"there is no 'y{300}' in "),
    ],
)
def test_submissions_that_are_not_there(tmp_path: Path, text: str, words: str) -> None:
    """A missing submission is an error of the command line."""
    (tmp_path / "y" / "__pycache__").mkdir(parents=True)
    (tmp_path / "y/index.py").write_text(INDEX)
    with pytest.raises(ConfigurationError, match=words):
        selection.submissions(Settings(rootdir=tmp_path, submission=("y/index.py", text)))


def test_select_implementations(tmp_path: Path) -> None:
    """A submission is alone unless ``--impl`` adds to it; globs match; typos name what is near."""
    (tmp_path / "mine.py").write_text(INDEX)
    (tmp_path / "student.py").write_text(INDEX)

    def selected(**options) -> list[str]:
        return names(selection.select_implementations(Settings(rootdir=tmp_path, **options)))

    assert {"student", "annoy", "bruteforce", "faiss-hnsw", "faiss-ivf"} <= set(selected())
    assert selected(impl=("faiss-*", "faiss-ivf")) == [
        "faiss-binary-flat",
        "faiss-hnsw",
        "faiss-ivf",
    ]
    assert selected(impl=("student",)) == ["student"]
    assert selected(submission=("mine.py",)) == ["mine"]
    assert selected(submission=("mine.py",), impl=("student",)) == ["mine"]
    assert selected(submission=("mine.py",), impl=("bruteforce",)) == ["bruteforce", "mine"]
    with pytest.raises(ConfigurationError, match=r"no such implementation; did you mean 'annoy'"):
        selected(impl=("anoy",))


def test_select_datasets(tmp_path: Path) -> None:
    """The default datasets, the whole catalogue for ``--download-only``, or the named ones."""
    (tmp_path / "own-8-dot.hdf5").touch()
    known = locate.known_datasets([dataset("extra")])

    def selected(**options) -> list[str]:
        found = selection.select_datasets(Settings(rootdir=tmp_path, **options), known)
        return [item.name for item in found]

    assert selected() == [*selection.DEFAULT_DATASETS, "extra"]
    assert set(selected(download_only=True)) == set(known)
    assert selected(dataset=("glove-2?-angular", "glove-25*", "extra")) == [
        "glove-25-angular",
        "extra",
    ]
    assert selected(dataset=("own-8-dot.hdf5", "http://h/x.hdf5")) == ["own-8-dot", "x"]
    with pytest.raises(ConfigurationError, match=r"gone.hdf5: there is no 'gone.hdf5' in"):
        selected(dataset=("gone.hdf5",))
    with pytest.raises(
        ConfigurationError,
        match=r"no such dataset\. `annmodal datasets` lists all\. Added here: .*extra.*\. A path",
    ):
        selected(dataset=("zzzz",))
    with pytest.raises(ConfigurationError, match=r"did you mean 'gist-960-euclidean'") as caught:
        selected(dataset=("gist-960-euclid",))
    assert "Known" not in str(caught.value)


def test_own_files(tmp_path: Path, small_dataset: Callable[..., Path]) -> None:
    """A file's own metric counts; two files of one name get different names."""
    small_dataset("x/own-8-euclidean", metric="dot")
    small_dataset("y/own-8-euclidean", metric="angular")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "日本.hdf5").write_text("no dataset")
    paths = ("x/own-8-euclidean.hdf5", "y/own-8-euclidean.hdf5", "z/日本.hdf5")
    found = selection.select_datasets(Settings(rootdir=tmp_path, dataset=paths * 2), {})
    assert [item.metric for item in found] == ["dot", "angular", None]
    assert len({item.name for item in found}) == 3
    assert found[0].name == "own-8-euclidean"
    assert found[1].name.startswith("own-8-euclidean-")
    every = selection.select_datasets(Settings(rootdir=tmp_path, dataset=("[xyz]/*.hdf5",)), {})
    assert {item.source for item in every} == {item.source for item in found}
    (tmp_path / "folder.hdf5").mkdir()
    with pytest.raises(ConfigurationError, match=r"folder.hdf5: is a directory"):
        selection.select_datasets(Settings(rootdir=tmp_path, dataset=("folder.hdf5",)), {})
    (tmp_path / "link.h5").symlink_to("gone.h5")
    with pytest.raises(ConfigurationError, match=r"a link to gone\.h5, which does not exist"):
        selection.select_datasets(Settings(rootdir=tmp_path, dataset=("link.h5",)), {})


def test_own_files_that_were_checked(
    tmp_path: Path, small_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stamp gives the metric of an unchanged file without opening it."""
    path = small_dataset("own-8-euclidean", metric="dot")
    settings = Settings(rootdir=tmp_path, dataset=(str(path),), volume_dir=str(tmp_path / "volume"))
    (found,) = selection.select_datasets(settings, {})
    resolve(found, local_volume(settings.volume_dir), reporter=Reporter())
    looks: list[Path] = []
    monkeypatch.setattr(hdf5, "inspect", looks.append)
    assert selection.select_datasets(settings, {}) == [found]
    assert looks == []
    os.utime(path, ns=(1, 1))
    with pytest.raises(AttributeError):  # of the answer that is none
        selection.select_datasets(settings, {})
    assert looks == [path]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.he5", b"\x89HDF\r\n\x1a\n", r"ends in \.hdf5 or \.h5; rename this one"),
        ("x.pkl", b"\x80\4", r"it is pickled.* Convert it: python -c"),
        ("x.npy.1", b"\x93NUMPY", r"a \.npy file: give it that suffix, or import it"),
        ("x.hdf5.gz", b"\x1f\x8b", r"compressed with gzip: unpack it"),
        ("x", b"", r"not an HDF5 file: import it: annmodal import NAME"),
    ],
)
def test_files_of_other_formats(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """Other formats are refused with the way to import them."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        selection.select_datasets(Settings(rootdir=tmp_path, dataset=(name,)), {})


def test_files_of_vectors_are_imported_on_the_way(tmp_path: Path) -> None:
    """A vector file becomes a dataset with a name of its own."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shop-cosine.fvecs.gz").touch()
    (tmp_path / "plain.npy").touch()
    names = ("*/shop-cosine.fvecs.gz", "plain.npy")
    one, two, plain = selection.select_datasets(Settings(rootdir=tmp_path, dataset=names), {})
    assert one.name.startswith("shop-cosine-")
    assert one.name != two.name
    assert (one.metric, plain.metric) == ("angular", "euclidean")
    assert one.source == f"import:{tmp_path}/a/shop-cosine.fvecs.gz"


class Lying:
    """A volume with two files that were put there by hand."""

    place, advice = "volume 'v'", "Put it there."

    def names(self) -> list[str]:
        return ["mine-8-euclidean", "mine-9-dot"]

    def dataset(self, name: str) -> Dataset:
        return catalog.dataset_in_volume(name, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mine-8-euclidean", [("mine-8-euclidean", "euclidean")]),
        ("mine-*", [("mine-8-euclidean", "euclidean"), ("mine-9-dot", "dot")]),
        ("digits-*", [("digits-64-euclidean", "euclidean")]),
    ],
)
def test_datasets_that_lie_in_the_volume(
    tmp_path: Path, text: str, expected: list[tuple[str, str]]
) -> None:
    """Datasets in the volume are found by name; the last word is the metric."""
    found = locate.find_datasets(text, catalog.CATALOG, Settings(rootdir=tmp_path), Lying())
    assert [(d.name, d.metric) for d in found] == expected
    assert all(d.source.startswith("volume:") == d.name.startswith("mine") for d in found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mine-7", r"did you mean .*'mine-9-dot'.*Volume 'v' holds mine-8-euclidean, mine-9-dot"),
        (
            "mine-9-dot.hdf5",
            r"there is no 'mine-9-dot.hdf5' in .*\. Volume 'v' holds one .*--dataset mine-9-dot",
        ),
        ("other-9-dot.hdf5", r"there is no 'other-9-dot.hdf5' in"),
    ],
)
def test_stored_names_are_listed(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        locate.find_datasets(text, catalog.CATALOG, Settings(rootdir=tmp_path), Lying())


def test_find_case() -> None:
    """A name is its first variant, a label that variant; unknown names are errors."""
    known = {"d": dataset(), "ang": dataset("ang", "angular")}
    offered = [implementation("a", 1, 2, metrics=("euclidean",))]

    def found(label: str, name: str = "d") -> Case | None:
        return selection.find_case(
            label, name, settings=Settings(), offered=offered, known=known, k=10, rounds=3
        )

    first, second = found("a"), found("a[b=0,s=1]")
    assert first is not None
    assert second is not None
    assert (first.label, second.label) == ("a[b=0,s=0]", "a[b=0,s=1]")
    assert found("a", "ang") is None
    with pytest.raises(ConfigurationError, match=r"no implementation is called 'b'"):
        found("b")
    with pytest.raises(ConfigurationError, match=r"a has no variant 'a\[s=9\]'; it has a\[b=0,s"):
        found("a[s=9]")
    with pytest.raises(ConfigurationError, match=r"^dataset='e': no such dataset"):
        found("a", "e")


def test_with_parameters() -> None:
    """Named parameters are replaced, the others kept."""
    case = Case(
        implementation=implementation(), variant=implementation().variants[0], dataset=dataset()
    )
    changed = selection.with_parameters(case, {"b": 5}, {"new": 6})
    assert changed.label == "a[b=5,s=0,new=6]"
    assert dataclasses.replace(changed, variant=case.variant) == case
    assert selection.labels(implementation("a", 1, 2)) == ["a[b=0,s=0]", "a[b=0,s=1]"]
