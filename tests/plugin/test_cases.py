"""How a benchmark is written: cases, names, parametrization, markers, fixtures and hooks."""

from __future__ import annotations

import re

from plugin_project import EXACT, HALF, Project, lines_with


def test_case(project: Project) -> None:
    """One test per variant; a metric that is not served makes no test; all is in one table."""
    project.dataset("small-8-angular", metric="angular")
    result = project.bench("--dataset", "small-8-angular.hdf5", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_search[[]exact[[]extra=0]-small-8-euclidean-k10] PASSED*",
            "test_it.py::test_search[[]exact[[]extra=1]-small-8-euclidean-k10] PASSED*",
            "*benchmark: 2 tests*",
            "* ANN benchmarks *",
            "small-8-euclidean · 300 × 8 · euclidean · k=10 · 20 queries × 2 · 1 thread · local*",
            "  implementation  recall *",
            "* exact[[]extra=?]  1.0000 *",
            "* exact[[]extra=?]  1.0000 *",
        ]
    )
    assert not lines_with(result, "was not read")  # the dataset lies in the project itself


def test_names_and_parameters(project: Project) -> None:
    """``ann_benchmark(implementation=…, dataset=…, k=…, search=…)`` needs no case."""
    project.write(
        "test_it.py",
        """
        import pytest

        def test_names(ann_benchmark):
            measured = ann_benchmark(
                implementation="exact", dataset="small-8-euclidean.hdf5", k=3, search={"extra": 7}
            )
            assert (measured.recall, measured.k, measured.rounds) == (1.0, 3, 2)
            assert measured.case_id == "exact[extra=7]-small-8-euclidean-k3"

        def test_label_and_marker(ann_benchmark):
            label = "exact[extra=1]"
            measured = ann_benchmark(implementation=label, dataset="small-8-euclidean.hdf5")
            assert measured.case_id == "exact[extra=1]-small-8-euclidean-k10"

        def test_override(ann_benchmark, case):
            assert ann_benchmark(case, k=2).k == 2

        def test_nothing(ann_benchmark):
            ann_benchmark()

        def test_unknown(ann_benchmark):
            ann_benchmark(implementation="exakt", dataset="small-8-euclidean.hdf5")

        def test_no_neighbours(ann_benchmark, case):
            ann_benchmark(case, k=0)

        def test_no_case(ann_benchmark):
            ann_benchmark("exact")

        def test_twice(ann_benchmark, case):
            ann_benchmark(case)
            ann_benchmark(case)

        def test_without_rhyme_or_reason(ann_benchmark, case):
            assert ann_benchmark(case).recall > 2
        """,
    )
    result = project.bench()
    result.assert_outcomes(passed=4, failed=9)
    assert lines_with(result, "ConfigurationError: k=0: expected a whole number of at least 1")
    assert lines_with(result, "ConfigurationError: ann_benchmark('exact'): expected a Case, or")
    result.stdout.fnmatch_lines(
        [
            "E       *ConfigurationError: ann_benchmark can be called once in a test",
            "E       *assert 1.0 > 2",
            "E        +  where 1.0 = Measurement(case_id='exact[[]extra=0]-small-8-*', k=10*",
            "E        +    where Measurement(*) = ann_benchmark(<Case exact[[]extra=0]-small-8-*>)",
            ">       ann_benchmark()",
            "E       *ConfigurationError: ann_benchmark needs a case, or implementation= and *",
            "E       *ConfigurationError: no implementation is called 'exakt'; did you mean*",
        ]
    )
    assert not lines_with(result, "pytest_annmodal/")  # tracebacks end in the user's own line


def test_explicit_parametrization(project: Project) -> None:
    """Names in ``parametrize`` are cases; missing ones are filled in; misfits are deselected."""
    project.dataset("small-8-angular", metric="angular")
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.parametrize("implementation", ["exact", "exact[extra=1]"])
        @pytest.mark.parametrize("dataset", ["small-8-euclidean.hdf5", "small-8-angular.hdf5"])
        def test_both(ann_benchmark, case, implementation, dataset):
            assert ann_benchmark(case).recall == 1.0

        @pytest.mark.parametrize(("dataset",), [("small-8-euclidean.hdf5",)])
        def test_open_implementation(ann_benchmark, implementation, dataset, case):
            assert ann_benchmark(case).case_id.startswith(implementation)

        @pytest.mark.parametrize("case", [1, 2])
        def test_own_case(ann_benchmark, case):
            assert case in (1, 2)
            ann_benchmark(implementation="exact", dataset="small-8-euclidean.hdf5")
        """,
    )
    result = project.bench("--dataset", "small-8-angular.hdf5")
    result.assert_outcomes(passed=6, deselected=2)


def test_files_that_say_another_metric_than_their_names(project: Project) -> None:
    """A local file with a metric not served makes no test; a downloaded one makes a skipped test."""
    place = project.dataset("liar-8-euclidean", metric="angular")
    project.write(
        "conftest.py",
        f"""
        from pytest_annmodal.model import Dataset

        def pytest_annmodal_datasets():
            return [Dataset(name="later", source="file:{place}")]
        """,
    )
    project.write(
        "test_it.py",
        """
        def test_open(ann_benchmark, case, implementation, dataset):
            assert ann_benchmark(case).recall == 1.0
        """,
    )
    result = project.bench("--dataset=liar-8-euclidean.hdf5", "--dataset=later", "-rs")
    result.assert_outcomes(passed=2, skipped=2, deselected=2)
    words = "exact does not serve angular, the metric of later; it serves euclidean"
    assert lines_with(result, words)


def test_thresholds(project: Project) -> None:
    """Each threshold that is missed has one line with both figures; the closest marker wins."""
    project.write("mine/exact.py", HALF)
    project.write(
        "test_it.py",
        """
        import pytest
        pytestmark = pytest.mark.ann(k=5, rounds=1, min_recall=0.1)

        def test_passes(ann_benchmark, case):
            measured = ann_benchmark(case)
            assert (measured.k, measured.rounds) == (5, 1)

        @pytest.mark.ann(min_recall=0.99, max_peak_mb=1e-6, max_index_mb=1e9)
        def test_misses(ann_benchmark, case):
            ann_benchmark(case)

        @pytest.mark.benchmark(group="mine")
        def test_group(ann_benchmark, case):
            ann_benchmark(case)
        """,
    )
    result = project.bench("--ann-k=3", "--benchmark-json=out.json")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.re_match_lines(
        [
            r"recall 0\.5\d* should be at least 0\.99 \(missed by 0\.\d+; min_recall of @.*ann\)",
            r"peak_mb [\d.]+ should be at most 1e-06 .*",
            r"FAILED .*test_misses.* - Failed: recall 0.5.*",
        ]
    )
    assert not lines_with(result, "index_mb")
    assert {saved["group"] for saved in project.saved()} == {None, "mine"}


def test_settings_that_a_library_makes_one_of(project: Project) -> None:
    """Each test keeps its name and passes; only one is measured and has a row, for both."""
    rules = '# short-answers = "extra"\n# effective = { extra = "max(extra, k - 9)" }\n# ///'
    project.write("mine/exact.py", EXACT.replace("# ///\nimport", f"{rules}\nimport"))
    result = project.bench("-v", "--benchmark-json=out.json")
    result.assert_outcomes(passed=2)
    assert len(lines_with(result, "exact[extra=0]-small-8-euclidean-k10] PASSED")) == 1
    told = (
        "exact[extra=1] also stands for extra=0: the library makes these extra=1 (see surprises: ef"
    )
    assert lines_with(result, told)
    assert not [line for line in result.outlines if line[2:].startswith("exact[extra=0]")]
    first, second = sorted((saved["extra_info"] for saved in project.saved()), key=str)
    told = [(row["asked"], row["effective"], row["measured_as"]) for row in (first, second)]
    assert told == [
        ({"extra": 0}, {"extra": 1}, "exact[extra=1]-small-8-euclidean-k10"),
        ({"extra": 1}, {"extra": 1}, ""),
    ]


def test_bad_markers(project: Project) -> None:
    """A typo in a marker ends the session with one line that names it, with a case or without."""
    header = "import pytest\n@pytest.mark.ann(min_recal=0.9)\n"
    for arguments in ("ann_benchmark", "ann_benchmark, case"):
        project.write("test_it.py", f"{header}def test_typo({arguments}): pass")
        result = project.bench()
        assert result.ret == 4
        message = "has no argument 'min_recal'; did you mean 'min_recall'? "
        assert message in result.stderr.str()
        assert len(result.stderr.str().strip().splitlines()) == 1
        assert "Traceback" not in result.stdout.str()


def test_datasets_fixture_and_hook(project: Project) -> None:
    """``ann_datasets`` gives a checked file; ``pytest_annmodal_datasets`` adds to the catalogue."""
    own = project.dataset("of-my-own-euclidean")
    project.write(
        "conftest.py",
        f"""
        from pytest_annmodal.model import Dataset

        def pytest_annmodal_datasets():
            return [Dataset(name="of-my-own", source="file:{own}", metric="euclidean")]
        """,
    )
    project.write(
        "test_it.py",
        """
        import pytest

        def test_paths(ann_datasets):
            assert ann_datasets("of-my-own").name == "of-my-own-euclidean.hdf5"
            assert ann_datasets("digits-64-euclidean").is_file()
            with pytest.raises(Exception, match="no such dataset; did you mean 'of-my-own'"):
                ann_datasets("of-my-one")

        def test_search(ann_benchmark, case):
            ann_benchmark(case)
        """,
    )
    mine = ("--ann-implementations=mine", "--impl=exact")
    project.run(*mine, "--dataset=of-my-own").assert_outcomes(passed=3)
    listed = project.run(*mine, "--collect-only", "-q")
    assert lines_with(listed, "exact[extra=0]-of-my-own-k10]")
    assert lines_with(listed, "exact[extra=0]-digits-64-euclidean-k10]")


def test_long_ids(project: Project) -> None:
    """Ids have at most 100 characters with the first settings and the dataset, equal in each run."""
    values = ",".join(f"value_{number}={number}" for number in range(15))
    grid = "".join(f"# build.{part.replace('=', ' = ')}\n" for part in values.split(","))
    long = EXACT.replace("# search.extra", f"{grid}# search.extra")
    project.write("mine/exact.py", long.replace("self, metric", "self, metric, **given"))
    project.write(
        "test_it.py",
        """
        def test_case(ann_benchmark, case): ...
        def test_pair(ann_benchmark, implementation, dataset): ...
        """,
    )

    def ids() -> list[str]:
        listed = project.bench("--collect-only", "-q").outlines
        return [line.removeprefix("test_it.py::") for line in listed if "::" in line]

    found = ids()
    kinds = [
        *[r"test_case\[(exact\[value_0=0,.*~[0-9a-f]{8}\]-small-8-euclidean-k10)\]"] * 2,
        *[r"test_pair\[small-8-euclidean-(exact\[value_0=0,.*~[0-9a-f]{8}\])\]"] * 2,
    ]
    matches = [re.fullmatch(*pair) for pair in zip(kinds, found, strict=True)]
    assert [len(match[1]) for match in matches if match] == [100] * 4
    assert len(set(found)) == 4
    assert ids() == found


def test_chosen_settings(project: Project) -> None:
    """``--impl NAME[…]`` and ``--ann-param`` run only what they name, for pairs of names as well."""
    project.write(
        "test_it.py",
        """
        def test_case(ann_benchmark, case):
            assert ann_benchmark(case).recall == 1
        def test_pair(ann_benchmark, implementation, dataset):
            ann_benchmark(implementation=implementation, dataset=dataset)
        def test_name(ann_benchmark):
            label = "exact[extra=7]"
            ann_benchmark(implementation=label, dataset="small-8-euclidean.hdf5")
        """,
    )
    result = project.bench("--ann-param", "extra=7,1", "-v")
    result.assert_outcomes(passed=5)
    assert len(lines_with(result, "[extra=7]")) >= 3
    mine = ("--ann-implementations=mine", "--dataset=small-8-euclidean.hdf5", "-v")
    result = project.run(*mine, "--impl", "exact[extra=1]", "-k", "case or pair")
    result.assert_outcomes(passed=2, deselected=1)
    result = project.run(*mine, "--impl", "exact", "--ann-param", "extr=1")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --ann-param extr: nothing *; did you mean 'extra'?"])


def test_a_marker_gives_values(project: Project) -> None:
    """They apply to cases and pairs of its test, in the grammar of the command line."""
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.ann(param={"extra": "2..4:lin2"})
        def test_case(ann_benchmark, case): ...

        @pytest.mark.ann(param={"extra": [7]})
        def test_pair(ann_benchmark, implementation, dataset):
            ann_benchmark(implementation=implementation, dataset=dataset)
        """,
    )
    result = project.bench("-v", "-k", "pair")
    result.assert_outcomes(passed=1, deselected=2)
    assert lines_with(result, "test_pair[small-8-euclidean-exact[extra=7]] PASSED")
    project.write("mine/exact2.py", EXACT.replace("# search.extra = [0, 1]", "# search.other = 1"))
    mine = ("--ann-implementations=mine", "--dataset=small-8-euclidean.hdf5", "--collect-only")
    listed = project.run(*mine, "-q", "-k", "case", "--impl=exact*")
    assert [line for line in listed.outlines if "::test_case" in line] == [
        f"test_it.py::test_case[{label}-small-8-euclidean-k10]"
        for label in ("exact[extra=2]", "exact[extra=4]", "exact2[other=1]")
    ]
    listed = project.run(*mine, "-q", "-k", "case", "--impl=exact2")  # nothing chosen has it
    assert len([line for line in listed.outlines if "::test_case" in line]) == 1


def test_settings_that_a_header_refuses(project: Project) -> None:
    """They are not run, and a line says why; if none is left, pytest ends with that line."""
    project.write(
        "mine/exact.py", EXACT.replace("# search", '# constraints = ["k <= extra"]\n# search')
    )
    result = project.bench("--ann-param", "extra=0,5,10", "-v")
    result.assert_outcomes(passed=1)
    assert lines_with(result, "Left out: exact: 2 settings on small-8-euclidean: k <= extra does")
    result = project.bench()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: nothing to measure: exact: 2 settings on small-8-*"])
