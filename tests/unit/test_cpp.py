"""C++ submissions: compiled, loaded and asked, with errors that their author understands."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cpp_sources import EXACT, FACTORY, index, run, setting
from jobs import failed, line_of, measured, nothing_left_behind, write

from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import Arguments, Variant
from pytest_annmodal.worker.cpp import compiler

EXAMPLES = Path(__file__).parents[2] / "examples" / "cpp"
pytestmark = pytest.mark.skipif(
    shutil.which(compiler.COMPILER) is None, reason="no C++ compiler is installed"
)
MakeDataset = Callable[..., Path]

# Each setting does one thing wrong; the first does nothing wrong.
WRONG = index(
    """
  int fault = 0;
  std::vector<std::string> kept;
  void set_query_arguments(const std::map<std::string, double>& arguments) override {
    fault = int(arguments.at("fault"));
  }
  std::vector<int> query(const float* v, int k) override {
    std::vector<int> ids = Exact::query(v, k);
    if (fault == 1) ids.pop_back();
    if (fault == 2) ids[1] = ids[0];
    if (fault == 3) ids[0] = int(n);
    if (fault == 4) ids.resize(5000);
    if (fault == 5) throw std::runtime_error("nothing \\x1b[2J near");
    if (fault == 6) throw 7;
    if (fault == 7) *(int*)(dim - dim) = 1;
    if (fault == 8) for (volatile int i = 0;;) (void)i;
    if (fault == 9) std::exit(3);
    if (fault == 10) for (;;) kept.emplace_back(1 << 20, 'x');
    return ids;
  }
"""
)
FAULTS = [
    "query returned 9 ids",
    " twice for query 0",
    "query returned id 300 for query 0",
    "query returned 5000 ids, expected 10",
    "raised std::runtime_error: nothing \\x1b[2J near (thrown by query)",
    "raised int: thrown, which is not a std::exception (thrown by query)",
    "SIGSEGV",
    "took longer than 2 s",
    "exited with status 3",
    "ran out of memory during",
]


def test_a_wrong_query_is_a_named_failure(small_dataset: MakeDataset, tmp_path: Path) -> None:
    """Wrong ids, a throw, a crash or an endless loop in a query fails that setting only."""
    source = write(tmp_path / "algorithm.cpp", WRONG)
    variants = [setting(fault=number) for number in range(len(FAULTS) + 1)]
    with nothing_left_behind():
        found = run(
            small_dataset(), source, variants=variants, phase_timeout_s=2.0, memory_bytes=2**27
        )
    assert measured(found[0]).recall == 1
    for outcome, words in zip(found[1:], FAULTS, strict=True):
        failure = failed(outcome)
        assert words in failure.message, failure
        assert failure.blame == "submission"


def test_example(small_dataset: MakeDataset) -> None:
    """The example is measured with its header's grids, its batch and its own header file."""
    (found,) = manifest.read_submission(EXAMPLES / "buckets")
    assert (found.name, found.style, found.metrics) == ("buckets", "c++", ("euclidean",))
    assert [v.search.kwargs for v in found.variants[:3]] == [{"n_probes": n} for n in (1, 4, 16)]
    data = small_dataset(n_train=3000)
    variants = (*found.variants[:3], setting(n_probes=32))
    outcomes = run(
        data,
        Path(found.path),
        variants=variants,
        implementation={"folder": found.folder},
    )
    recalls = [measured(outcome).recall for outcome in outcomes]
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.9
    assert recalls[-1] == 1
    last = measured(outcomes[-1])
    assert last.batch_recall == 1
    assert last.reported_index_bytes == 4 * 3000
    assert last.environment["compiler"].startswith("g++ ")
    assert any("which is not part of the build" in note for note in last.notes)


def test_build_parameters_and_threads(small_dataset: MakeDataset, tmp_path: Path) -> None:
    """Build parameters come between init and fit; OpenMP has the requested threads."""
    body = """
  void init(const std::string& metric, int d) override { Exact::init(metric, d); std::puts(metric.c_str()); }
  void set_query_arguments(const std::map<std::string, double>& arguments) override {
    for (auto& [name, value] : arguments) std::printf("%s=%g\\n", name.c_str(), value);
  }
  void fit(const float* rows, std::size_t n) override {
    Exact::fit(rows, n);
    std::printf("fit %zu, %d threads\\n", n, omp_get_max_threads());
  }
"""
    source = write(tmp_path / "algorithm.cpp", index(body, before="#include <omp.h>"))
    (found,) = run(
        small_dataset(),
        source,
        variants=[Variant(build=Arguments(kwargs={"a": 2}), search=Arguments(kwargs={"b": 0.5}))],
        threads=2,
    )
    assert measured(found).log_tail.split("\n")[:4] == [
        "euclidean",
        "a=2",
        "fit 300, 2 threads",
        "b=0.5",
    ]


BATCHES = {
    "too-few": "batch_query returned 0 answers for 20 queries",
    "too-long": "batch_query returned 11 ids for query 3, expected 10",
    "too-short": "batch_query returned 9 ids for query 3",
    "double": "batch_query returned id 0 twice",
    "throws": "raised std::out_of_range",
}


def test_a_wrong_batch(small_dataset: MakeDataset, tmp_path: Path) -> None:
    """A batch is checked like single queries."""
    body = """
  int fault = 0;
  void set_query_arguments(const std::map<std::string, double>& arguments) override {
    fault = int(arguments.at("fault"));
  }
  std::vector<std::vector<int>> batch_query(const float* queries, std::size_t n, int k) override {
    std::vector<std::vector<int>> found;
    for (std::size_t i = 0; i < n; ++i) found.push_back(query(queries + i * dim, k));
    if (fault == 0) found.clear();
    if (fault == 1) found[3].push_back(7);
    if (fault == 2) found[3].pop_back();
    if (fault == 3) found[3].assign(k, 0);
    if (fault == 4) found.at(n).clear();
    return found;
  }
"""
    source = write(tmp_path / "algorithm.cpp", index(body))
    variants = [setting(fault=number) for number in range(len(BATCHES) + 1)]
    *wrong, right = run(small_dataset(), source, variants=variants)
    for outcome, words in zip(wrong, BATCHES.values(), strict=True):
        assert words in failed(outcome).message
    assert measured(right).batch_recall == 1


def test_paths_start_from_the_submission(small_dataset: MakeDataset, tmp_path: Path) -> None:
    """Errors name files relative to the submission, wherever it is compiled."""
    (tmp_path / "team" / "parts").mkdir(parents=True)
    header = write(tmp_path / "team" / "parts" / "-I.hpp", "int x = ;\n")
    text = index(before=f'#include "parts/{header.name}"')
    source = write(tmp_path / "team" / "algorithm.cpp", text)
    (found,) = run(small_dataset(), source, implementation={"folder": str(source.parent)})
    line = line_of(text, '#include "parts')
    assert f"does not compile (line {line}): -I.hpp:1: expected " in failed(found).message
    said = str(failed(found).evidence["traceback"])
    assert f"In file included from ./algorithm.cpp:{line}:\n./parts/-I.hpp:1:" in said


BROKEN = {
    "not C++": (index("int x = ;"), "int x = ;", "expected primary-expression"),
    "no factory": (EXACT.replace("create_index", "make_index"), None, "defines no create_index()"),
    "abstract": (
        '#include "annmodal.h"\nstruct Mine : annmodal::Index {};\n' + FACTORY,
        "return new",
        "abstract class type",
    ),
    "undefined": (
        index("  void init(const std::string&, int) override;"),
        None,
        "undefined reference",
    ),
    "endless template": (
        "template <int n> struct T { typedef typename T<n + 1>::type type; }; T<0>::type x;",
        "template",
        "template instantiation depth exceeds",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_does_not_compile(small_dataset: MakeDataset, tmp_path: Path, what: str) -> None:
    """The message names the first error and its line; the evidence has the compiler's output."""
    text, line, words = BROKEN[what]
    (found,) = run(small_dataset(), write(tmp_path / "algorithm.cpp", text))
    failure = failed(found)
    assert (failure.kind, failure.blame) == ("compile", "submission")
    assert words in failure.message
    if line is not None:
        assert f"does not compile (line {line_of(text, line)}): " in failure.message
    evidence = str(failure.evidence["traceback"])
    assert 0 < len(evidence) <= 4 * compiler.OUTPUT_BYTES
    assert str(tmp_path) not in evidence
    assert "annmodal-" not in evidence


def test_no_compiler(
    small_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing compiler is an infrastructure failure that says what to install."""
    source = write(tmp_path / "algorithm.cpp", EXACT)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (found,) = run(small_dataset(), source, isolation="process")
    failure = failed(found)
    assert failure.blame == "infrastructure"
    assert "apt install g++" in failure.message
    assert compiler.missing() == compiler.NO_COMPILER


HEADER = "// /// script\n// [tool.annmodal]\n// {}\n// ///\n"
HEADERS = {
    'build.kind = ["a"]': "the parameter kind is 'a'; C++ gets only numbers",
    'class = "Mine"': "the header of a C++ file cannot have class; remove that key",
    "sarch.n = [1]": "did you mean 'search'?",
}


@pytest.mark.parametrize("key", HEADERS)
def test_headers_that_cannot_be_used(tmp_path: Path, key: str) -> None:
    """An unusable header is refused before compilation."""
    source = write(tmp_path / "algorithm.cpp", HEADER.format(key) + EXACT)
    (found,) = manifest.read_submission(source)
    assert found.error is not None
    assert HEADERS[key] in found.error
