"""Choosing among an implementation's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import narrowing
from pytest_annmodal.model import Arguments, Implementation, Variant
from pytest_annmodal.session import selection
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.option import parameter_values, split_values
from pytest_annmodal.settings.sources import resolve

# As in ann-benchmarks' hnsw definitions, where ef has no name, and as in a header.
HNSW = Implementation(
    name="hnsw",
    path="/hnsw.py",
    class_name="Hnsw",
    build_names=("metric", "method_param"),
    search_names=("ef",),
    variants=tuple(
        Variant(
            build=Arguments(args=("@metric", {"M": m, "post": False})),
            search=Arguments(args=(ef,)),
            groups=(f"M-{m}",),
        )
        for m in (4, 16, 160)
        for ef in (10, 20)
    ),
)
TREES = Implementation(
    name="trees",
    path="/trees.py",
    class_name="Trees",
    variants=tuple(
        Variant(build=Arguments(args=("@metric", n)), search=Arguments(args=(k,)))
        for n in (10, 20)
        for k in (10, 20)
    ),
)
HEADER = Implementation(
    name="header",
    path="/header.py",
    class_name="Header",
    variants=tuple(
        Variant(build=Arguments(kwargs={"ef": ef}), search=Arguments(kwargs={"rate": 0.5}))
        for ef in (10, 30)
    ),
)


def labels(item: Implementation | None) -> list[str]:
    return [] if item is None else [variant.label for variant in item.variants]


def of(item: Implementation, *settings: str) -> list[str]:
    return labels(narrowing.of_settings(item, settings))


@pytest.mark.parametrize(
    ("item", "setting", "kept"),
    [
        (HNSW, "M=16,*", ["M=16,post=false,10", "M=16,post=false,20"]),
        (HNSW, "M=16", ["M=16,post=false,10", "M=16,post=false,20"]),
        (HNSW, "M=16,post=false,20", ["M=16,post=false,20"]),
        (HNSW, "ef=20,M=1*", ["M=16,post=false,20", "M=160,post=false,20"]),
        (HNSW, "*,20", [f"M={m},post=false,20" for m in (4, 16, 160)]),
        (HNSW, "20", [f"M={m},post=false,20" for m in (4, 16, 160)]),
        (HNSW, "post=False,M=4,ef=10.0", ["M=4,post=false,10"]),
        (HNSW, "post=0", []),
        (HNSW, "M=5", []),
        (HNSW, "10,20", []),
        (TREES, "10,*", ["10,10", "10,20"]),
        (TREES, "*,10", ["10,10", "20,10"]),
        (TREES, "20,10", ["20,10"]),
        (HEADER, "rate=.5*", []),
        (HEADER, "rate=0.50, ef=10", ["ef=10,rate=0.5"]),
    ],
)
def test_a_pattern_fits(item: Implementation, setting: str, kept: list[str]) -> None:
    """A pattern matches by names, position, values, or as a glob."""
    assert of(item, setting) == kept


def test_several_patterns_add_up() -> None:
    """Several patterns select the union, in the grid's order."""
    assert of(TREES, "20,20", "10,10") == ["10,10", "20,20"]
    assert narrowing.of_settings(TREES, ["10,10", None]) is TREES


@pytest.mark.parametrize(
    ("item", "setting", "words"),
    [
        (HNSW, "m=16", "hnsw has no parameter 'm'; did you mean 'M'?"),
        (HNSW, "M=16,eff=3", "hnsw has no parameter 'eff'; did you mean 'ef'?"),
        (HNSW, "M=5", "no setting with M=5; M is one of 4, 16, 160. To use values of your"),
        (HNSW, "M=16,*,30", "no such setting; it has M=4,post=false,10, "),
        (HNSW, "M=16,ef=30", "no setting with ef=30; ef is one of 10, 20. To use values of your"),
        (TREES, "n=5", "trees has no parameter 'n'; it has none."),
        (TREES, "5", "no such setting; it has 10,10, 10,20, 20,10, 20,20"),
    ],
)
def test_why_nothing_fits(item: Implementation, setting: str, words: str) -> None:
    """The error names the unknown parameter and similar ones, or the existing values."""
    assert narrowing.why_none([item], setting).startswith(words)


def test_some_of_many_labels() -> None:
    """The error lists a few labels, those most similar to the pattern."""
    many = [f"n={number}" for number in range(500)]
    assert narrowing.some_of("n=77", many).startswith("500, among them n=77, ")


def test_run_groups() -> None:
    """Only implementations with the run group stay; an unknown group is an error."""
    found = narrowing.in_groups([HNSW, TREES], ["M-1?", "M-4"])
    assert [(item.name, len(item.variants)) for item in found] == [("hnsw", 4)]
    assert narrowing.in_groups([TREES], []) == [TREES]
    with pytest.raises(ConfigurationError, match=r"M-17: .* run group; did you mean 'M-16'"):
        narrowing.in_groups([HNSW], ["M-17"])
    with pytest.raises(ConfigurationError, match=r"There are no run groups\."):
        narrowing.in_groups([TREES], ["M-16"])


def test_values_of_a_parameter() -> None:
    """Given values replace the grid's; implementations without the parameter are unchanged."""
    hnsw, trees, header = narrowing.with_values(
        [HNSW, TREES, HEADER], [("ef", ("10", "15")), ("M", ("16",)), ("ef", ("0",))]
    )
    assert labels(hnsw) == [f"M=16,post=false,{ef}" for ef in (10, 15, 0)]
    assert labels(header) == ["ef=10,rate=0.5", "ef=15,rate=0.5", "ef=0,rate=0.5"]
    assert trees is TREES
    with pytest.raises(ConfigurationError, match=r"efs: .* parameter; did you mean 'ef'"):
        narrowing.with_values([HNSW], [("efs", ("1",))])
    with pytest.raises(ConfigurationError, match=r"such a parameter; it has none"):
        narrowing.with_values([TREES], [("ef", ("1",))])


def test_values_of_a_build_parameter() -> None:
    """Only builds get the values; a parameter of searches only is an error."""
    both = Implementation(
        name="both",
        path="/both.py",
        class_name="Both",
        variants=tuple(
            Variant(build=Arguments(kwargs={"ef": 1}), search=Arguments(kwargs={"ef": ef, "x": 0}))
            for ef in (1, 2)
        ),
    )
    (found,) = narrowing.with_values([both], [("ef", ("2..3",))], builds_only=True)
    assert labels(found) == [f"ef={build},ef={ef},x=0" for build in (2, 3) for ef in (1, 2)]
    with pytest.raises(ConfigurationError, match=r"--ann-build-param y: .* build parameter; ther"):
        narrowing.with_values([both], [("y", ("1",))], source="--ann-build-param", builds_only=True)


def test_a_range_is_put_in() -> None:
    """A range works on the command line as in a header."""
    (found,) = narrowing.with_values([HNSW], [("M", ("8..64:log4",))])
    assert [variant.label for variant in found.variants if variant.search.args == (10,)] == [
        f"M={m},post=false,10" for m in (8, 16, 32, 64)
    ]
    with pytest.raises(ConfigurationError, match=r"--ann-param M: '8\.\.8': expected the second"):
        narrowing.with_values([HNSW], [("M", ("8..8",))])


def test_values_are_numbers_truths_lists_or_texts() -> None:
    """Values are read as JSON or Python literals."""
    texts = ("1", "1.5", "true", "False", "[1,2]", "fast")
    (found,) = narrowing.with_values([HEADER], [("rate", texts)])
    values = [variant.search.kwargs["rate"] for variant in found.variants[::2]]
    assert values == [1, 1.5, True, False, [1, 2], "fast"]
    assert [type(value) for value in values[:3]] == [int, float, bool]


def test_placeholders_are_no_values() -> None:
    """The placeholder of the metric cannot be chosen."""
    with pytest.raises(
        ConfigurationError, match=r"--ann-param metric: nothing selected has such a parameter"
    ):
        narrowing.with_values([HNSW], [("metric", ("dot",))])


def test_too_many_settings_are_unusable() -> None:
    """Too many settings make only that implementation unusable."""
    variants = [Variant(build=Arguments(args=(n,)), search=Arguments()) for n in range(1001)]
    few, many = (
        narrowing.limited(
            Implementation(name="x", path="/x.py", class_name="X", variants=tuple(variants[:n]))
        )
        for n in (1000, 1001)
    )
    assert (few.error, len(few.variants)) == (None, 1000)
    assert many.error is not None
    assert many.error.startswith("x has 1,001 settings; at most 1,000 are run: choose some")


def test_splitting() -> None:
    """Commas in brackets and quotes belong to the value."""
    assert split_values('a=1,b=[1,2],c={"x":"1,2"},"p,q",,') == [
        "a=1",
        "b=[1,2]",
        'c={"x":"1,2"}',
        '"p,q"',
        "",
        "",
    ]
    assert parameter_values("ef=20, 50") == ("ef", ("20", "50"))
    for text in ("ef", "ef=", "=1", "ef=1,,2"):
        with pytest.raises(ValueError, match="expected NAME=VALUE"):
            parameter_values(text)


INDEX = "class Index:\n    def fit(self, X): ...\n    def query(self, v, k): ...\n"
GRID = (
    "# /// script\n# [tool.annmodal]\n# build.n = [1, 2]\n# search.ef = [10, 20]\n# ///\n" + INDEX
)
CONFIG = (
    "float:\n  any:\n  - {name: %s, constructor: Index, disabled: %s, base_args: ['@metric'],"
    " run_groups: {g: {args: [[%s]]}}}\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file with a grid, a disabled one and one with too many settings."""
    root = tmp_path / "mine"
    root.mkdir()
    (root / "grid.py").write_text(GRID)
    (root / "annoy.py").write_text(INDEX)
    for name, disabled, values in [
        ("asleep", "true", "1, 2"),
        ("huge", "false", ", ".join(map(str, range(1001)))),
    ]:
        (root / name).mkdir()
        (root / name / "module.py").write_text(INDEX)
        (root / name / "config.yml").write_text(CONFIG % (name, disabled, values))
    return tmp_path


def selected(root: Path, *impl: str, **options) -> dict[str, int]:
    settings = Settings(rootdir=root, implementations=("mine",), impl=impl, **options)
    found = selection.select_implementations(settings)
    return {item.name: -1 if item.error else len(item.variants) for item in found}


def test_impl_with_a_setting(folder: Path) -> None:
    """Patterns of one implementation select the union; the name may be a glob."""
    assert selected(folder, "grid[n=1]", "grid[n=2,ef=10]") == {"grid": 3}
    assert selected(folder, "gri*[ef=10]") == {"grid": 2}
    assert selected(folder, "grid[n=1]", "grid") == {"grid": 4}
    assert selected(folder, "gri[cd]") == {"grid": 4}
    assert selected(folder, "grid", param=(("ef", ("7",)),)) == {"grid": 2}
    with pytest.raises(ConfigurationError, match=r"--impl grid\[n=3\]: no setting with n=3; n is"):
        selected(folder, "grid[n=3]")
    with pytest.raises(ConfigurationError, match=r"--impl grit\[n=1\]: .* did you mean 'grid'"):
        selected(folder, "grit[n=1]")


def test_a_name_that_is_taken_says_its_folder(folder: Path) -> None:
    """Two implementations of one name run under it, and each under its own."""
    assert set(selected(folder, "annoy")) == {"annoy", "annoy~mine"}
    assert set(selected(folder, "annoy~mine")) == {"annoy~mine"}


def test_what_is_disabled_is_named(folder: Path) -> None:
    """A glob selects a disabled implementation only if it matches no other."""
    assert "asleep" not in selected(folder)
    assert set(selected(folder, "a*")) == {"annoy", "annoy~mine"}
    assert selected(folder, "asleep") == {"asleep": 2}
    assert selected(folder, "aslee*[1]") == {"asleep": 1}


def test_too_many_settings_stop_what_is_asked_for(folder: Path) -> None:
    """Among others it fails alone; alone it ends the session; with a choice it runs."""
    assert selected(folder)["huge"] == -1
    assert selected(folder)["grid"] == 4
    assert selected(folder, "huge[7*]") == {"huge": 111}
    with pytest.raises(ConfigurationError, match=r"huge has 1,001 settings"):
        selected(folder, "huge")


def test_a_submission_is_narrowed_by_its_name(folder: Path) -> None:
    """A submission is narrowed by its name or ``student``; grading ignores that."""
    root = folder
    (root / "own.py").write_text(GRID)

    def settings_of_own(*impl: str, **options) -> int:
        settings = Settings(rootdir=root, submission=("own.py",), impl=impl, **options)
        found = selection.select_implementations(settings)
        return next(len(item.variants) for item in found if item.name == "own")

    assert settings_of_own("own[n=1]") == 2
    assert settings_of_own("student[n=1,ef=10]") == 1
    assert settings_of_own("bruteforce") == 4
    assert settings_of_own("own[n=1]", grade="rules.toml", param=(("n", ("1",)),)) == 4


def test_grading_takes_no_values_from_the_command_line() -> None:
    """Grading ignores values of the command line."""
    for name, value in (("param", ["ef=1"]), ("run_group", ["g"])):
        given = {"grade": "rules.toml", name: value}
        with pytest.raises(ConfigurationError, match=r"and --ann-grade: grading runs the settings"):
            resolve(cli=given.get, ini=lambda _key: "", environ={})
