"""Index classes in all usual styles are found, constructed and asked without a wrapper."""

import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_annmodal.errors import BuildError
from pytest_annmodal.model import Arguments, Implementation, to_plain
from pytest_annmodal.worker import adapters

NOTHING = Arguments()
VECTORS = np.eye(6, dtype=np.float32)


@pytest.fixture(autouse=True)
def _clean_imports():
    """Restores the interpreter's state, which loading an implementation changes."""
    path, finders, modules = sys.path[:], sys.meta_path[:], set(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def load(
    path: Path,
    text: str | None = None,
    *,
    name: str = "Index",
    metric: str = "euclidean",
    build: Arguments = NOTHING,
    **more,
) -> adapters.Adapter:
    if text is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    implementation = Implementation(name="x", path=str(path), class_name=name, **more)
    return adapters.load(to_plain(implementation), metric=metric, dim=6, build=to_plain(build))


PLAIN = """
class Index:
    def __init__(self, metric, a=1):
        self.metric, self.a = metric, a
    def fit(self, X):
        self.X = X
    def query(self, v, k):
        return list(range(k))
"""

ESTIMATOR = """
import numpy as np
class Index:
    def __init__(self, n_neighbors=5):
        self.n_neighbors = n_neighbors
    def fit(self, X, y=None):
        self.X = X
    def kneighbors(self, X=None, n_neighbors=None, return_distance=True):
        found = np.linalg.norm(self.X - X[:, None], axis=2)
        order = found.argsort(axis=1)[:, :n_neighbors]
        return (found, order) if return_distance else order
"""


class TestConstruct:
    def test_gives_the_metric_first_and_the_build_arguments_by_name(self, tmp_path):
        """A plain class is called as ``Class(metric, **build)``."""
        adapter = load(tmp_path / "m.py", PLAIN, metric="dot", build=Arguments(kwargs={"a": 7}))
        assert (adapter.subject.metric, adapter.subject.a) == ("dot", 7)

    @pytest.mark.parametrize(
        ("signature", "expected"),
        [
            ("self", ((), {})),
            ("self, *, a=0", ((), {"a": 3})),
            ("self, a", ((), {"a": 3})),
            ("self, a=0", ((), {"a": 3})),
            ("self, distance='l2', a=0", (("angular",), {"a": 3})),
            ("self, anything, a=0", (("angular",), {"a": 3})),
            ("self, a, metric='x'", ((), {"a": 3, "metric": "angular"})),
            ("self, *, metric, a", ((), {"a": 3, "metric": "angular"})),
            ("self, *args, **kwargs", (("angular",), {"a": 3})),
            ("self, **kwargs", ((), {"a": 3, "metric": "angular"})),
            ("self, dim", ((), {"dim": 6})),
            ("self, metric, dimension", (("angular",), {"dimension": 6})),
            ("self, dim, metric", ((), {"dim": 6, "metric": "angular"})),
            ("self, dim=0", ((), {})),
        ],
    )
    def test_puts_the_metric_where_the_signature_has_a_place_for_it(
        self, tmp_path, signature, expected
    ):
        """The metric goes to its parameter; a class without one is called without a metric."""
        text = f"""
import inspect
class Spy(type):
    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        made.called = args, kwargs
        return made
class Index:
    def __init__({signature}): pass
    def fit(self, X): pass
    def query(self, v, k): pass
signature = inspect.signature(Index)
class Index(Index, metaclass=Spy):
    __signature__ = signature
"""
        kwargs = {"a": 3} if "a" in expected[1] else {}
        adapter = load(tmp_path / "m.py", text, metric="angular", build=Arguments(kwargs=kwargs))
        assert adapter.subject.called == expected

    def test_names_a_build_argument_that_the_class_does_not_take(self, tmp_path):
        """The message shows the signature and the argument."""
        with pytest.raises(BuildError, match=r"Index\(metric, a=1\).*'b'"):
            load(tmp_path / "m.py", PLAIN, build=Arguments(kwargs={"b": 1}))

    def test_notes_that_a_parameter_was_given_the_metric(self, tmp_path):
        """If the constructor fails and its first parameter has another name, a note says that it got the metric."""
        text = PLAIN.replace("self, metric, a=1):", "self, n):\n        metric = a = n + 1")
        with pytest.raises(TypeError) as caught:
            load(tmp_path / "m.py", text)
        assert "Index, n, got the metric 'euclidean'" in caught.value.__notes__[0]

    @pytest.mark.parametrize(
        ("method", "words"),
        [
            ("fit(self, X, y)", r"fit\(X, y\) \(line 2\) is called as fit\(X\): missing.*'y'"),
            ("query(self, v)", r"query\(v\) \(line 2\) is called as query\(v, k\): too many"),
            ("batch_query(self)", r"batch_query\(\) \(line 2\) is called as batch_query\(X, k\)"),
        ],
    )
    def test_names_a_method_that_cannot_be_called(self, tmp_path, method, words):
        """A method with a wrong signature is named with its line, before the build."""
        rest = [m for m in ("fit(self, X)", "query(self, v, k)") if m[:3] != method[:3]]
        body = "".join(f"  def {m}: pass\n" for m in (method, *rest))
        with pytest.raises(BuildError, match=words):
            load(tmp_path / "m.py", f"class Index:\n{body}")

    @pytest.mark.parametrize("where", ["module", "__init__"])
    def test_passes_on_what_the_users_code_raises(self, tmp_path, where):
        """Exceptions of the user's code are not wrapped: the worker reports their traceback."""
        boom = "raise ZeroDivisionError('mine')"
        text = (
            boom
            if where == "module"
            else f"class Index:\n  def __init__(self, metric):\n    {boom}\n"
        )
        with pytest.raises(ZeroDivisionError, match="mine"):
            load(tmp_path / "m.py", text)

    def test_says_that_the_class_is_not_in_the_file(self, tmp_path):
        """A wrong ``class`` in the header is named."""
        with pytest.raises(BuildError, match=r"no class 'Other'$"):
            load(tmp_path / "m.py", PLAIN, name="Other")
        with pytest.raises(BuildError, match=r"no class 'Indx'; did you mean 'Index'\?"):
            load(tmp_path / "n.py", PLAIN, name="Indx")

    def test_raises_the_error_found_in_the_text(self, tmp_path):
        """An error that was found in the text is raised before the file is imported."""
        with pytest.raises(BuildError, match="syntax error"):
            load(tmp_path / "m.py", error="syntax error in line 1")

    @pytest.mark.parametrize(
        ("methods", "words"), [("query", r"no fit\(X\)"), ("fit", r"no query\(v, k\)")]
    )
    def test_says_which_method_is_missing(self, tmp_path, methods, words):
        """A class without the methods of an index is refused with the missing ones."""
        text = f"class Index:\n  def {methods}(self, *args): pass\n"
        with pytest.raises(BuildError, match=words):
            load(tmp_path / "m.py", text)


def test_a_parameter_without_a_value_says_where_to_give_one(tmp_path):
    """An ann-benchmarks class without its config.yml: the error says where to give values."""
    text = PLAIN.replace("self, metric", "self, metric, n_trees")
    assert text != PLAIN
    with pytest.raises(BuildError, match=r"argument: 'n_trees'; give n_trees a default, or values"):
        load(tmp_path / "m.py", text)


class TestImports:
    def test_a_file_called_like_the_library_it_uses_gets_the_library(self, tmp_path, monkeypatch):
        """``import mylib`` in ``mylib.py`` imports the installed library."""
        library = tmp_path / "site"
        library.mkdir()
        (library / "mylib.py").write_text("WHO = 'the library'\n")
        monkeypatch.syspath_prepend(library)
        monkeypatch.chdir(tmp_path)  # its folder is also the current directory
        monkeypatch.syspath_prepend("")
        adapter = load(tmp_path / "mylib.py", "import mylib\nWHO = mylib.WHO\n" + PLAIN)
        assert sys.modules[type(adapter.subject).__module__].WHO == "the library"

    def test_a_file_called_like_a_library_that_is_not_installed_says_so(self, tmp_path):
        """If the library is not installed, the error says so; the file does not import itself."""
        with pytest.raises(ModuleNotFoundError, match="No module named 'nolib'"):
            load(tmp_path / "nolib.py", "import nolib\n" + PLAIN)

    @pytest.mark.parametrize("line", ["from helper import f", "from .helper import f"])
    def test_a_file_may_import_its_siblings(self, tmp_path, line):
        """Absolute and relative imports of neighbouring files work."""
        (tmp_path / "helper.py").write_text("f = 42\n")
        adapter = load(tmp_path / "m.py", line + "\n" + PLAIN)
        assert sys.modules[type(adapter.subject).__module__].f == 42

    @pytest.mark.parametrize("stem", ["my-index", "3d", "a.b", "__init__"])
    def test_any_file_name_will_do(self, tmp_path, stem):
        """Files are loaded whatever their name."""
        assert load(tmp_path / f"{stem}.py", PLAIN).describe() == "Index"

    @pytest.mark.parametrize(
        "line",
        [
            "from . import VALUE as value",
            "from . import helper, VALUE; value = VALUE",
            "from .helper import value",
            "from . import helper; value = helper.value",
            "from . import __version__ as value",
        ],
    )
    def test_a_file_may_import_what_its_package_defines(self, tmp_path, line):
        """As ann-benchmarks' folders are packages, whose ``__init__.py`` Python runs."""
        folder = tmp_path / "mine"
        folder.mkdir()
        (folder / "__init__.py").write_text(
            "from .helper import value\n__version__ = VALUE = value\n"
        )
        (folder / "helper.py").write_text("value = 3\n")
        adapter = load(folder / "module.py", f"{line}\nassert value == 3\n{PLAIN}")
        assert adapter.query(None, 1) == [0]

    @pytest.mark.parametrize("init", [True, False])
    @pytest.mark.parametrize(
        "line",
        [
            "from importlib import resources as r; t = (r.files(__package__) / 'a.txt').read_text()",
            "import inspect; from . import helper; t = inspect.getsource(helper)",
        ],
        ids=["resources", "source"],
    )
    def test_a_file_may_read_what_lies_in_its_package(self, tmp_path, line, init):
        """By the library's own ways, with and without an ``__init__.py``."""
        folder = tmp_path / "mine"
        folder.mkdir()
        for name in ["a.txt", "helper.py", *(["__init__.py"] if init else [])]:
            (folder / name).write_text("# there")
        adapter = load(folder / "module.py", f"{line}\nassert t.strip() == '# there'\n{PLAIN}")
        assert adapter.query(None, 1) == [0]

    def test_a_package_without_the_name_says_so(self, tmp_path):
        """Whether or not it has an ``__init__.py``."""
        for name in ("with", "without"):
            (tmp_path / name).mkdir()
        (tmp_path / "with" / "__init__.py").write_text("")
        for name in ("with", "without"):
            with pytest.raises(ImportError, match="cannot import name 'nothing'"):
                load(tmp_path / name / "module.py", f"from . import nothing\n{PLAIN}")

    def test_an_init_that_nothing_is_asked_of_is_not_run(self, tmp_path):
        """It may be of the folder that one file of is tried."""
        (tmp_path / "__init__.py").write_text("raise RuntimeError")
        (tmp_path / "helper.py").write_text("")
        load(tmp_path / "module.py", f"from . import helper\n{PLAIN}")

    def test_the_file_knows_itself(self, tmp_path):
        """The loaded module has ``__file__`` and is in ``sys.modules``, as dataclasses need."""
        text = """
from __future__ import annotations
import dataclasses, pathlib
@dataclasses.dataclass
class Index:
    metric: str
    kind: dataclasses.KW_ONLY = None
    def fit(self, X): self.data = (pathlib.Path(__file__).parent / "data.txt").read_text()
    def query(self, v, k): return []
"""
        (tmp_path / "data.txt").write_text("beside it")
        adapter = load(tmp_path / "m.py", text)
        adapter.fit(VECTORS)
        assert adapter.subject.data == "beside it"

    @pytest.mark.parametrize(
        "line",
        [
            "from ann_benchmarks.algorithms.base.module import BaseANN",
            "from ann_benchmarks.algorithms.base import BaseANN",
            "from ..base.module import BaseANN",
        ],
    )
    def test_a_bare_file_may_subclass_base_ann(self, tmp_path, line):
        """``BaseANN`` can be imported from all its paths without ann-benchmarks."""
        adapter = load(
            tmp_path / "m.py", line + PLAIN.replace("class Index", "class Index(BaseANN)")
        )
        assert adapter.batch is None
        assert adapter.memory_bytes() is None
        assert adapter.describe() == "Index"

    def test_the_distances_of_ann_benchmarks_are_there(self, tmp_path):
        """ann-benchmarks' metrics exist in the old spelling (a mapping) and the new (attributes)."""
        text = """
from ...distance import metrics as pd, compute_distance
from ann_benchmarks.distance import dataset_transform
ONE = pd["euclidean"]["distance"]([0, 0], [3, 4])
TWO = pd["angular"].distance([1, 0], [0, 2]), compute_distance("hamming", [1, 0], [1, 1])
assert pd["angular"]["distance"]([0, 0], [0, 1]) == 1 and pd["euclidean"].distance_valid(1.0)
assert pd["jaccard"].distance([1, 2], [2, 3]) == 1 - 1 / 3
"""
        adapter = load(tmp_path / "m.py", text + PLAIN)
        module = sys.modules[type(adapter.subject).__module__]
        assert (module.ONE, module.TWO) == (5, (1, 0.5))


class TestAsking:
    def test_query_is_the_objects_own_method(self, tmp_path):
        """The timed call is the object's own method, without a wrapper."""
        adapter = load(tmp_path / "m.py", PLAIN)
        assert adapter.query == adapter.subject.query
        assert adapter.fit == adapter.subject.fit
        assert adapter.prepared is None
        assert adapter.batch is None
        assert adapter.batch_fetch is None

    def test_batch_query_that_returns_its_answer(self, tmp_path):
        """A batch that is returned is not fetched afterwards."""
        adapter = load(
            tmp_path / "m.py",
            PLAIN + "    def batch_query(self, Q, k): return [[0] * k] * len(Q)\n",
        )
        assert adapter.batch == adapter.subject.batch_query
        assert adapter.batch_fetch is None

    def test_batch_query_with_get_batch_results(self, tmp_path):
        """Only ``batch_query`` is timed, and the results are fetched; a single query is a batch of one."""
        text = """
class Index:
    def fit(self, X): pass
    def batch_query(self, Q, k): self.n = len(Q), k
    def get_batch_results(self): return [[9] * self.n[1]] * self.n[0]
"""
        adapter = load(tmp_path / "m.py", text)
        assert adapter.batch == adapter.subject.batch_query
        assert adapter.batch(VECTORS, 2) is None
        assert adapter.batch_fetch() == [[9, 9]] * 6
        assert adapter.query(VECTORS[0], 3) == [9, 9, 9]

    @pytest.mark.parametrize("body", ["self.res = [[1] * k] * len(Q)", "return [[1] * k] * len(Q)"])
    def test_batch_query_of_a_base_ann(self, tmp_path, body):
        """A ``BaseANN`` may store its batch in ``res`` or return it."""
        text = (
            "from ..base.module import BaseANN"
            + PLAIN.replace("class Index", "class Index(BaseANN)")
            + f"    def batch_query(self, Q, k): {body}\n"
        )
        adapter = load(tmp_path / "m.py", text)
        adapter.batch(VECTORS, 2)
        assert adapter.batch_fetch() == [[1, 1]] * 6

    def test_kneighbors_of_an_estimator(self, tmp_path):
        """An estimator with scikit-learn's ``kneighbors`` answers one vector and many."""
        adapter = load(tmp_path / "x.py", ESTIMATOR)
        adapter.fit(VECTORS)
        assert list(adapter.query(VECTORS[3], 1)) == [3]
        assert adapter.batch(VECTORS[:4], 1).tolist() == [[0], [1], [2], [3]]

    def test_prepared_batch(self, tmp_path):
        """``prepare_batch_query`` and ``run_batch_query`` together are one batch."""
        text = PLAIN + (
            "    def prepare_batch_query(self, Q, k): self.q = Q, k\n"
            "    def run_batch_query(self): self.r = [[self.q[1]]] * len(self.q[0])\n"
            "    def get_batch_results(self): return self.r\n"
        )
        adapter = load(tmp_path / "m.py", text)
        adapter.batch(VECTORS, 5)
        assert adapter.batch_fetch() == [[5]] * 6

    def test_three_step_query(self, tmp_path):
        """The three steps are separate calls, so that only the middle one is timed."""
        text = """
class Index:
    def fit(self, X): pass
    def prepare_query(self, v, k): self.asked = v, k
    def run_prepared_query(self): self.found = list(range(self.asked[1]))
    def get_prepared_query_results(self): return self.found
"""
        adapter = load(tmp_path / "m.py", text)
        prepare, run, results = adapter.prepared
        prepare(VECTORS[0], 2)
        assert run() is None
        assert results() == [0, 1]
        assert adapter.query(VECTORS[0], 3) == [0, 1, 2]

    def test_a_base_ann_without_query_is_no_index(self, tmp_path):
        """A ``BaseANN`` without its own ``query`` is refused."""
        text = """
from ..base.module import BaseANN
class Index(BaseANN):
    def fit(self, X): pass
"""
        with pytest.raises(BuildError, match="no query"):
            load(tmp_path / "m.py", text)


BOUND_LATE = """
class Index:
    def __init__(self, metric): pass
    def fit(self, X):
        self.query = lambda v, k: ["fitted"]
        self.batch_query = lambda X, k: [["fitted"]]
    def query(self, v, k):
        return ["class"]
    def batch_query(self, X, k):
        return [["class"]]
    def set_query_arguments(self, ef):
        self.query = self.small if ef < 5 else self.large
    def small(self, v, k):
        return ["small"]
    def large(self, v, k):
        return ["large"]
"""


class TestLateMethods:
    """ann-benchmarks looks a method up at each call, so objects may change theirs."""

    def test_a_setting_may_choose_the_query(self, tmp_path):
        """Each setting is asked by the method that it chose."""
        adapter = load(tmp_path / "m.py", BOUND_LATE)
        adapter.fit(VECTORS)
        for ef, expected in ((1, "small"), (9, "large"), (2, "small")):
            adapter.set_search(to_plain(Arguments(kwargs={"ef": ef})))
            adapter = adapter.looked_up()
            assert adapter.query(VECTORS[0], 1) == [expected]

    def test_a_build_may_choose_the_query_and_the_batch(self, tmp_path):
        """Without a search setting as well."""
        adapter = load(tmp_path / "m.py", BOUND_LATE)
        adapter.fit(VECTORS)
        adapter.set_search(to_plain(NOTHING))
        adapter = adapter.looked_up()
        assert adapter.query(VECTORS[0], 1) == ["fitted"]
        assert adapter.batch(VECTORS, 1) == [["fitted"]]


class TestSearchArguments:
    SETTER = PLAIN + "    def set_query_arguments(self, ef, deep=0): self.ef = ef, deep\n"

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (Arguments(args=(5,)), (5, 0)),
            (Arguments(kwargs={"deep": 2, "ef": 1}), (1, 2)),
            (Arguments(args=({"x": 1},)), ({"x": 1}, 0)),
        ],
    )
    def test_are_handed_over(self, tmp_path, arguments, expected):
        """Search arguments are passed by position as in ann-benchmarks, or by name."""
        adapter = load(tmp_path / "m.py", self.SETTER)
        adapter.set_search(to_plain(arguments))
        assert adapter.subject.ef == expected

    def test_without_arguments_the_setter_is_not_called(self, tmp_path):
        """Without search arguments the setter is not called, and need not exist."""
        load(tmp_path / "m.py", PLAIN).set_search(to_plain(Arguments()))

    def test_for_a_class_without_setter_are_an_error(self, tmp_path):
        """Search arguments for a class without a setter: the error says what to define."""
        with pytest.raises(BuildError, match=r"no set_query_arguments.*\(ef=1\)"):
            load(tmp_path / "m.py", PLAIN).set_search(to_plain(Arguments(kwargs={"ef": 1})))
        with pytest.raises(BuildError, match=r"config\.yml has the search parameters \(7\)"):
            load(tmp_path / "m.py", PLAIN).set_search(to_plain(Arguments(args=(7,))))

    def test_that_the_setter_does_not_take_are_named(self, tmp_path):
        """Arguments that the setter does not take are named with its signature."""
        adapter = load(tmp_path / "m.py", self.SETTER)
        with pytest.raises(BuildError, match=r"set_query_arguments\(ef, deep=0\).*probes=1"):
            adapter.set_search(to_plain(Arguments(kwargs={"probes": 1})))


class TestSelfReports:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ("return 2048", 2048),
            ("return 10.7", 10),
            ("return None", None),
            ("return -1", None),
            ("return float('nan')", None),
            ("return 'much'", None),
            ("raise RuntimeError", None),
            ("import sys; sys.exit(1)", None),
            ("raise KeyboardInterrupt", None),
        ],
    )
    def test_memory_is_a_number_of_bytes_or_none(self, tmp_path, body, expected):
        """Self-reported memory is a number of bytes or None; an error there fails nothing."""
        adapter = load(tmp_path / "m.py", PLAIN + f"    def get_memory_usage(self): {body}\n")
        assert adapter.memory_bytes() == expected

    def test_memory_of_ann_benchmarks_is_growth_in_kilobytes(self, tmp_path):
        """In ann-benchmarks it is the process's size before and after ``fit``."""
        text = PLAIN + (
            "    def get_memory_usage(self): return 150.0 if hasattr(self, 'X') else 100.0\n"
        )
        adapter = load(
            tmp_path / "m.py",
            text,
            style="ann-benchmarks",
            build=Arguments(args=("@metric", {"dims": ["@dimension"]})),
        )
        adapter.fit(VECTORS)
        assert adapter.memory_bytes() == 50 * 1024
        assert adapter.subject.metric == "euclidean"
        assert adapter.subject.a == {"dims": [6]}

    def test_the_default_of_base_ann_is_in_kilobytes_and_not_believed(self):
        """``BaseANN``'s default, the size of the process, is not used as index size."""
        usage = adapters.BaseANN().get_memory_usage()
        assert 1_000 < usage < 10**9
        assert adapters.BaseANN().get_additional() == {}

    def test_the_default_batch_of_base_ann_uses_threads(self):
        """``BaseANN.batch_query`` uses threads, for subclasses that call it."""

        class Index(adapters.BaseANN):
            name = "mine"

            def query(self, q, n):
                return [int(q.argmax())] * n

        index = Index()
        index.batch_query(VECTORS, 2)
        assert index.get_batch_results() == [[i, i] for i in range(6)]
        assert str(index) == "mine"
        index.done()
        index.fit(VECTORS)

    def test_done_never_raises(self, tmp_path, capsys):
        """An exception in ``done`` is only logged: the measurements are complete."""
        load(tmp_path / "a.py", PLAIN).done()
        load(tmp_path / "m.py", PLAIN + "    def done(self): raise ValueError('late')\n").done()
        assert "late" in capsys.readouterr().out

    def test_describe_uses_the_objects_own_words(self, tmp_path):
        """An index is described by its ``str``, or by its class if that fails."""
        assert load(tmp_path / "a.py", PLAIN).describe() == "Index"
        own = PLAIN + "    def __str__(self): return f'Index({self.a})'\n"
        assert load(tmp_path / "b.py", own).describe() == "Index(1)"
        broken = PLAIN + "    def __str__(self): return self.nothing\n"
        assert load(tmp_path / "c.py", broken).describe() == "Index"
