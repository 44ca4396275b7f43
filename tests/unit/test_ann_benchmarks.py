"""An ann-benchmarks algorithm folder runs unchanged."""

import dataclasses
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from jobs import make_job, measured

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.execution import run_job
from pytest_annmodal.manifests import ann_benchmarks, manifest
from pytest_annmodal.model import Implementation, to_plain
from pytest_annmodal.session.selection import select_implementations
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.worker import adapters


@pytest.fixture(autouse=True)
def _clean_imports():
    """Restores the interpreter's state, which loading an implementation changes."""
    path, finders, modules = sys.path[:], sys.meta_path[:], set(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - modules:
        if name.startswith("ann_benchmarks"):
            del sys.modules[name]


def definition(run_groups: str, *, base_args: str = "['@metric']", more: str = "") -> str:
    groups = textwrap.indent(textwrap.dedent(run_groups).strip(), " " * 6)
    return (
        f"  - base_args: {base_args}\n    constructor: Index\n    disabled: false\n"
        "    docker_tag: ann-benchmarks-x\n    module: ann_benchmarks.algorithms.x\n"
        f"    name: x\n{more}    run_groups:\n{groups}\n"
    )


def config(run_groups: str, key: str = "any", **kwargs: str) -> str:
    return f"float:\n  {key}:\n{definition(run_groups, **kwargs)}"


def read(text: str, folder: Path = Path("/algorithms/x")) -> list[Implementation]:
    return ann_benchmarks.read_config(text, folder, modules=(), trusted=True)


def points(text: str) -> list[tuple[tuple, tuple]]:
    (found,) = read(text)
    return [(variant.build.args, variant.search.args) for variant in found.variants]


def write(folder: Path, module: str, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "module.py").write_text(textwrap.dedent(module))
    (folder / "config.yml").write_text(text)
    (folder / "Dockerfile").write_text("FROM ann-benchmarks\n")
    return folder


class TestExpansion:
    def test_lists_are_axes_and_scalars_stay(self):
        """Lists are alternatives, scalars are fixed; the metric's place is filled in later."""
        text = config("g: {args: [[100, 200], fast], query_args: [[1, 2], [3]]}")
        assert points(text) == [
            (("@metric", trees, "fast"), (search, 3)) for trees in (100, 200) for search in (1, 2)
        ]

    def test_a_mapping_is_one_argument(self):
        """A mapping is one argument: its lists are alternatives, each combination is a dict."""
        text = config("g: {args: {M: [4, 8], efConstruction: 500}}")
        assert points(text) == [(("@metric", {"M": m, "efConstruction": 500}), ()) for m in (4, 8)]

    def test_arg_groups_expand_their_mappings_first_and_win_over_args(self):
        """``arg_groups`` expand their mappings first and replace ``args``, as in hnsw's definitions."""
        text = config(
            "g: {arg_groups: [{M: [12, 24], post: 0}, false], args: {}, query_args: [[1]]}"
        )
        assert points(text) == [(("@metric", {"M": m, "post": 0}, False), (1,)) for m in (12, 24)]

    def test_empty_arg_groups_beside_args_are_ignored(self):
        """Empty ``arg_groups`` beside ``args`` are ignored, as annoy's definition needs."""
        text = config("g: {arg_groups: [], args: [[1, 2]], query_arg_groups: [], query_args: [3]}")
        assert points(text) == [(("@metric", n), (3,)) for n in (1, 2)]

    def test_query_arg_groups(self):
        """``query_arg_groups`` expand in the same way; empty groups are left out."""
        text = config("g: {args: [1], query_arg_groups: [{ef: [10, 20]}, [1, 2], []]}")
        assert points(text) == [
            (("@metric", 1), ({"ef": ef}, deep)) for ef in (10, 20) for deep in (1, 2)
        ]

    def test_a_list_in_a_list_in_a_list_is_one_value(self):
        """A list at the third level is one value, such as a pair of numbers."""
        text = config("g: {args: [1], query_args: [[[0.1, 5], [0.2, 6]]]}")
        assert points(text) == [(("@metric", 1), ([0.1, 5],)), (("@metric", 1), ([0.2, 6],))]

    @pytest.mark.parametrize("queries", ["", ", query_args: []", ", query_args: null"])
    def test_without_query_args_there_is_one_search(self, queries):
        """Without query arguments there is one search without arguments."""
        assert points(config(f"g: {{args: [1]{queries}}}")) == [(("@metric", 1), ())]

    def test_without_args_there_is_one_build(self):
        """Without arguments there is one build, with the base arguments."""
        assert points(config("base: {}")) == [(("@metric",), ())]
        assert points(config("base: {args: []}")) == [(("@metric",), ())]

    @pytest.mark.parametrize("groups", ["g: {args: [[]]}", "g: {query_args: [[]]}", "{}"])
    def test_a_file_without_a_setting_is_refused(self, groups):
        """ann-benchmarks runs nothing then, without a message."""
        with pytest.raises(ConfigurationError, match="give no setting"):
            read(config(groups))

    def test_a_definition_without_a_setting_is_left_out_beside_others(self):
        """What it would have been is not known."""
        text = config("g: {args: [[]]}") + "  euclidean:\n" + definition("g: {args: [1]}")
        (found,) = read(text)
        assert found.metrics == ("euclidean",)

    def test_an_empty_mapping_is_an_argument_too(self):
        """An empty mapping is passed as an empty dict, as ann-benchmarks does."""
        assert points(config("base: {args: {}}")) == [(("@metric", {}), ())]

    def test_older_spellings_with_dashes(self):
        """The older keys ``run-groups``, ``base-args``, ``query-args`` and ``arg-groups`` work."""
        text = config("g: {arg-groups: [[1], {a: 2}], query-args: [[3]]}")
        text = text.replace("run_groups", "run-groups").replace("base_args", "base-args")
        assert points(text) == [(("@metric", 1, {"a": 2}), (3,))]

    def test_groups_follow_each_other_and_repeat_nothing(self):
        """Run groups are joined in order; a setting in two groups runs once."""
        text = config(
            """
            one: {args: [[1, 2]]}
            two: {args: [[2, 3]]}
            """
        )
        assert [build[1] for build, _ in points(text)] == [1, 2, 3]

    def test_placeholders_stay_for_the_worker(self):
        """Placeholders for metric, dimension and count are kept, also inside dicts."""
        text = config("g: {args: {d: '@dimension'}}", base_args="['@metric', '@count']")
        assert points(text) == [(("@metric", "@count", {"d": "@dimension"}), ())]


class TestDefinitions:
    @pytest.mark.parametrize(
        ("key", "metrics"),
        [
            ("any", ("euclidean", "angular")),
            ("euclidean", ("euclidean",)),
            ("angular", ("angular",)),
            ("cosine", ("angular",)),
            ("normalized", ("angular",)),
            ("ip", ("dot",)),
            ("dot", ("dot",)),
        ],
    )
    def test_serve_the_metrics_of_their_key(self, key, metrics):
        """Definitions under ``any`` serve ann-benchmarks' two metrics of float vectors."""
        (found,) = read(config("g: {args: [1]}", key))
        assert found.metrics == metrics
        assert found.style == "ann-benchmarks"
        assert found.class_name == "Index"
        assert found.short_answers

    @pytest.mark.parametrize("key", ["ip", "cosine", "normalized"])
    def test_keep_the_word_that_their_file_uses(self, key):
        """A definition under ``ip`` gets the word "ip", although this project says "dot"."""
        assert points(config("g: {}", key)) == [((key,), ())]
        assert points(config("g: {}", "dot")) == [(("@metric",), ())]

    def test_for_vectors_of_unit_length_hold_only_where_no_other_does(self):
        """Definitions for unit vectors serve no metric that another definition serves."""
        text = "float:\n" + "".join(
            f"  {key}:\n{definition('g: {}')}" for key in ("normalized", "cosine")
        )
        assert points(text) == [(("cosine",), ())]
        other = text.replace("name: x", "name: y", 1)
        assert [(item.name, item.variants[0].build.args) for item in read(other)] == [
            ("y", ("normalized",)),
            ("x", ("cosine",)),
        ]

    def test_of_vibe_have_its_words_and_its_way_with_mappings(self):
        """In VIBE ``any`` is three metrics, and a mapping's values are separate arguments."""
        text = config("g: {args: {M: [4, 8], ef: 9}, query_args: {n: [1, 2]}}")
        found = read(text.replace("ann_benchmarks.algorithms", "vibe.algorithms"))
        assert [item.metrics for item in found] == [("euclidean",), ("angular",), ("dot",)]
        given = [[(v.build.args, v.search.args) for v in item.variants] for item in found]
        assert given == [
            [((word, m, 9), (n,)) for m in (4, 8) for n in (1, 2)]
            for word in ("@metric", "cosine", "ip")
        ]

    def test_for_bits_are_read_too(self):
        """Definitions for bits get a bool for each bit; those for unknown metrics are ignored."""
        text = f"float:\n  haversine:\n{definition('g: {args: [1]}')}"
        text += f"bit:\n  hamming:\n{definition('g: {args: [1]}')}"
        assert [(item.metrics, item.dtypes) for item in read(text)] == [(("hamming",), ())]

    def test_of_one_name_hold_for_the_metrics_that_no_closer_one_serves(self):
        """A definition under ``any`` gives way to an enabled one under the metric itself."""
        text = config("g: {args: [1]}") + f"  angular:\n{definition('g: {args: [2]}')}"
        found = {item.metrics: item.variants[0].build.args[1] for item in read(text)}
        assert found == {("euclidean",): 1, ("angular",): 2}
        closer = f"  angular:\n{definition('g: {args: [2]}')}".replace("false", "true")
        (alone,) = read(config("g: {args: [1]}") + closer)
        assert (alone.metrics, alone.disabled) == (("euclidean", "angular"), False)

    def test_say_what_their_class_calls_arguments_without_names(self, tmp_path):
        """Positional arguments get the names of the class's parameters, to be chosen by."""
        module = """
            class Index:
                def __init__(self, metric, n_trees): ...
                def set_query_arguments(self, search_k): ...
        """
        folder = write(tmp_path / "x", module, config("g: {args: [1], query_args: [2]}"))
        (found,) = manifest.read_submission(folder)
        assert (found.build_names, found.search_names) == (("metric", "n_trees"), ("search_k",))

    def test_know_the_run_groups_of_each_setting(self):
        """Each setting knows its run groups; two groups may share one."""
        text = config(
            """
            one: {args: [[1, 2]]}
            two: {args: [[2, 3]]}
            """
        )
        groups = [variant.groups for variant in read(text)[0].variants]
        assert groups == [("one",), ("one", "two"), ("two",)]

    def test_in_a_mapping_are_named_by_its_keys(self):
        """In the older layout a mapping's keys name the definitions."""
        text = "float:\n  any:\n    old:\n      constructor: Index\n      run-groups: {g: {}}\n"
        (found,) = read(text)
        assert found.name == "old"

    def test_may_name_a_neighbours_module(self, tmp_path):
        """``module: ann_benchmarks.algorithms.faiss`` in another folder's config is found."""
        write(tmp_path / "x", "", "")
        (found,) = read(config("g: {}"), tmp_path / "y")
        assert found.path == str(tmp_path / "x" / "module.py")

    def test_of_a_submission_name_no_neighbour_outside_of_a_clone(self, tmp_path):
        """A submission's config cannot use modules of neighbouring folders."""
        write(tmp_path / "x", "import os", "")
        folder = write(tmp_path / "y", "import os", config("g: {}"))
        (found,) = manifest.read_submission(folder)
        assert (found.path, found.folder) == (str(folder / "module.py"), str(folder))

    def test_with_one_name_are_told_apart_by_metric(self, tmp_path):
        """Definitions of one name under several metrics get the metric in their names."""
        text = config("g: {args: [1]}", "euclidean") + f"  angular:\n{definition('g: {args: [2]}')}"
        text = text.replace("name: x", "name: hnsw(lib)")
        folder = write(tmp_path / "x", "import numpy, scipy\n", text)
        found = manifest.read_directory(folder)
        assert [item.name for item in found] == ["hnsw-lib-euclidean", "hnsw-lib-angular"]
        assert found[0].modules == ("numpy", "scipy")
        assert found[0].trusted

    def test_of_a_submission_are_named_after_the_folder(self, tmp_path):
        """A submission's definitions are named after its folder."""
        folder = write(tmp_path / "alice", "import os", config("g: {}"))
        (found,) = manifest.read_submission(folder)
        assert (found.name, found.trusted, found.error) == ("alice", False, None)
        folder = write(
            tmp_path / "bob",
            "import os",
            config("g: {}") + definition("g: {}").replace("x\n", "y\n"),
        )
        assert [item.name for item in manifest.read_submission(folder)] == ["bob-x", "bob-y"]


def two_definitions(*, disabled: tuple[bool, bool]) -> str:
    first, second = (
        definition("g: {}").replace("disabled: false", f"disabled: {str(flag).lower()}")
        for flag in disabled
    )
    return f"float:\n  any:\n{first}{second.replace('name: x', 'name: y')}"


class TestDisabled:
    """``disabled: true`` in a config.yml."""

    def test_is_run_where_its_folder_is_named(self, tmp_path):
        """A disabled definition runs if its folder is named, as a submission or not."""
        text = two_definitions(disabled=(True, True))
        folder = write(tmp_path / "x", "import os", text)
        for found in (manifest.read_submission(folder), manifest.read_directory(folder)):
            assert [(item.disabled, item.on_request) for item in found] == [(True, False)] * 2
            assert not any(item.error for item in found)

    def test_beside_what_is_enabled_waits_for_its_name(self, tmp_path):
        """Beside enabled definitions a disabled one runs only by name."""
        folder = write(tmp_path / "x", "import os", two_definitions(disabled=(True, False)))
        found = manifest.read_submission(folder)
        assert [(item.name, item.on_request) for item in found] == [("x-x", True), ("x", False)]
        found = manifest.read_directory(folder)
        assert [(item.name, item.on_request) for item in found] == [("x", True), ("y", False)]

    def test_runs_alone_where_it_is_named(self, tmp_path):
        """``--impl`` chooses among a submission's definitions, but not in grading."""
        write(tmp_path / "x", "import os", two_definitions(disabled=(True, False)))
        write(tmp_path / "z", "import os", two_definitions(disabled=(False, False)))

        def selected(*impl, **options):
            settings = Settings(rootdir=tmp_path, submission=("x", "z"), impl=impl, **options)
            return [item.name for item in select_implementations(settings)]

        assert selected() == selected("student") == ["x", "z-x", "z-y"]
        assert selected("x-x") == ["x-x", "z-x", "z-y"]
        assert selected("x", "z-y") == ["x", "z-y"]
        assert selected("bruteforce") == ["bruteforce", "x", "z-x", "z-y"]
        assert selected("x-x", "z-y", grade="grading.toml") == ["x", "z-x", "z-y"]

    def test_in_a_clone_waits_for_its_name(self, clone):
        """In a clone disabled definitions run only by name."""
        config_file = clone / "ann_benchmarks/algorithms/forest/config.yml"
        config_file.write_text(config_file.read_text().replace("false", "true"))
        found = {item.name: item.on_request for item in manifest.read_directory(clone)}
        assert found == {"batch": False, "forest": True, "graph": False, "steps": False}

    def test_is_noted_in_each_measurement(self, tmp_path, small_dataset):
        """Measurements of a disabled definition have a note."""
        module = """
            class Index:
                def __init__(self, metric): ...
                def fit(self, X): ...
                def query(self, v, k): return list(range(k))
        """
        text = config("g: {}").replace("disabled: false", "disabled: true")
        (found,) = manifest.read_directory(write(tmp_path / "x", module, text))
        path = small_dataset("tiny-8-euclidean")
        job = dataclasses.replace(
            make_job(path, Path(found.path), build=found.variants[0].build), implementation=found
        )
        (outcome,) = run_job(job, path)
        assert (
            "its config.yml disables it; it was run because it was named" in measured(outcome).notes
        )


ALIASES = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


MANY_GROUPS = "".join(f"g{i}: {{args: [{[*range(90 * i, 90 * i + 90)]}]}}\n" for i in range(120))


HUNDRED = list(range(101))


class TestBadConfig:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("\x1f", "not valid YAML"),
            ("float: [", "not valid YAML"),
            ("? [a]\n: {? {b: c} : d}", "not valid YAML|must be"),
            ("when: 2020-99-99", "not valid YAML"),
            ("- 1", "config.yml must be a mapping, not list"),
            ("float: 3", "float must be a mapping"),
            ("float: {any: 3}", "float.any must be a list of definitions"),
            ("float: {any: [3]}", "float.any must be a mapping"),
            ("float: {any: [{name: x}]}", "x has no constructor"),
            ("float: {any: [{name: x, constructor: C}]}", "x: run_groups must be a mapping"),
            (config("g: 3"), "run_groups.g must be a mapping"),
            (config("g: {args: 3}"), "arguments must be a list or a mapping, not 3"),
            (config("g: {arg_groups: 3}"), "arg_groups must be a list"),
            (config("g: {}", base_args="3"), "base_args must be a list"),
            (config("g: {args: [2020-01-01]}"), "is not a number, text"),
            (config(f"g: {{args: [{HUNDRED}, {HUNDRED}]}}"), "more than 10,000 comb"),
            (config(f"g: {{args: [{HUNDRED}], query_args: [{HUNDRED}]}}"), "than 10,000 settings"),
            (config(MANY_GROUPS), "more than 10,000 settings"),
            (ALIASES + config("g: {args: [[*a8]]}"), "20,000 values, or refers to itself"),
            (config("g: {args: [&loop [[*loop]]]}"), "20,000 values, or refers to itself"),
        ],
    )  # fmt: skip
    def test_says_what_is_wrong(self, tmp_path, text, message):
        """A broken folder is an error if it is the user's, a failed submission if it is a student's."""
        folder = write(tmp_path / "mine", "import os", text)
        with pytest.raises(ConfigurationError, match=message):
            read(text, folder)
        (found,) = manifest.read_submission(folder)
        assert found.error.startswith(f"{folder}: ")
        assert found.name == "mine"

    def test_a_submission_that_defines_nothing_says_so(self, tmp_path):
        """A submission without usable definitions fails; a user's folder is left out."""
        folder = write(tmp_path / "mine", "import os", "bit: {}")
        (found,) = manifest.read_submission(folder)
        assert "defines nothing for a supported metric" in found.error

    def test_a_broken_module_is_found_in_its_text(self, tmp_path):
        """A syntax error is found before a worker is started."""
        folder = write(tmp_path / "mine", "def (", config("g: {}"))
        (found,) = manifest.read_submission(folder)
        assert "module.py: syntax error in line 1" in found.error
        with pytest.raises(ConfigurationError, match=r"module\.py: syntax error in line 1"):
            manifest.read_directory(folder)


# Modules written for these tests in the manner of the collection's own.
FOREST = """
    import numpy
    from ..base.module import BaseANN
    from .helper import nearest

    class Forest(BaseANN):
        def __init__(self, metric, n_trees):
            self._metric, self._n_trees = metric, n_trees
            self._search_k = None

        def fit(self, X):
            self._X = numpy.array(X)

        def set_query_arguments(self, search_k):
            self._search_k = search_k
            self.name = "Forest(%d, %d)" % (self._n_trees, search_k)

        def query(self, v, n):
            return list(nearest(self._metric, self._X[: self._search_k], v, n))
"""
GRAPH = """
    from ann_benchmarks.algorithms.base.module import BaseANN
    from ..forest.helper import nearest

    class Graph(BaseANN):
        def __init__(self, metric, method_param):
            self.metric = {"angular": "cosine", "euclidean": "l2"}[metric]
            self.method_param = method_param
            self.name = f"graph ({method_param})"

        def fit(self, X):
            self.X = X
            self.links = self.method_param["M"] * self.method_param["efConstruction"]

        def set_query_arguments(self, ef):
            self.ef = ef

        def query(self, v, n):
            assert self.ef >= n and self.links
            return nearest("angular" if self.metric == "cosine" else "euclidean", self.X, v, n)

        def freeIndex(self):
            del self.X
"""
STEPS = """
    from ..base.module import BaseANN
    from ..forest.module import nearest

    class Steps(BaseANN):
        def __init__(self, metric, dimension):
            self.metric = metric
            self.dimension = dimension
        def fit(self, X):
            assert X.shape[1] == self.dimension
            self.X = X
        def prepare_query(self, q, n):
            self.q, self.n = q.astype(float), n
        def run_prepared_query(self):
            self.r = nearest(self.metric, self.X, self.q, self.n)
        def get_prepared_query_results(self):
            return self.r.tolist()
"""
BATCH = """
    import numpy as np
    from ...distance import metrics
    from ..base.module import BaseANN

    class Batch(BaseANN):
        def __init__(self, metric):
            self.distance = metrics[metric].distance
        def fit(self, X):
            self.X = X
        def query(self, v, n):
            return np.argsort([self.distance(v, x) for x in self.X])[:n]
        def batch_query(self, X, n):
            self.res = np.array([self.query(v, n) for v in X])
        def get_batch_results(self):
            return self.res
"""
HELPER = """
import numpy as np
def nearest(metric, X, v, n):
    if metric == "angular":
        return np.argsort(-(X @ v) / np.linalg.norm(X, axis=1), kind="stable")[:n]
    return np.argsort(np.linalg.norm(X - v, axis=1), kind="stable")[:n]
"""


@pytest.fixture
def clone(tmp_path):
    """A folder like a clone's ``ann_benchmarks/algorithms``."""
    root = tmp_path / "ann_benchmarks" / "algorithms"
    for name, module, groups, base in [
        ("forest", FOREST, "g: {args: [[2, 3]], query_args: [[40, 50]]}", "['@metric']"),
        ("graph", GRAPH, "g: {args: {M: 4, efConstruction: [9]}, query_args: [9]}", "['@metric']"),
        ("steps", STEPS, "base: {args: []}", "['@metric', '@dimension']"),
        ("batch", BATCH, "base: {}", "['@metric']"),
    ]:  # fmt: skip
        text = config(groups, base_args=base).replace("algorithms.x", f"algorithms.{name}")
        text = text.replace("constructor: Index", f"constructor: {name.title()}")
        write(root / name, module, text.replace("name: x", f"name: {name}"))
    (root / "forest" / "helper.py").write_text(HELPER)
    (root / "base").mkdir()
    (root / "base" / "module.py").write_text("raise RuntimeError('the stand-in is used')\n")
    (root / "base" / "config.yml").write_text("\n# nothing to run\n")
    return tmp_path


@pytest.mark.parametrize("where", [".", "ann_benchmarks/algorithms"])
def test_a_clone_gives_all_its_algorithms(clone, where):
    """A clone is named by its root or by its folder of algorithms."""
    found = manifest.read_directory(clone / where)
    assert [item.name for item in found] == ["batch", "forest", "graph", "steps"]
    assert [len(item.variants) for item in found] == [1, 4, 1, 1]
    assert all(item.trusted and item.modules in ((), ("numpy",)) for item in found)


def test_what_cannot_be_used_stops_no_other(clone):
    """A definition that cannot be used is kept with the reason; the others run."""
    algorithms = clone / "ann_benchmarks" / "algorithms"
    (algorithms / "forest" / "config.yml").write_text("float: [")
    (algorithms / "broken.py").write_text("def (")
    found = {item.name: item.error for item in manifest.read_directory(clone)}
    assert [name for name, error in found.items() if not error] == ["batch", "graph", "steps"]
    assert "not valid YAML" in found["forest"]
    assert "syntax error in line 1" in found["broken"]


@pytest.mark.parametrize("metric", ["euclidean", "angular"])
@pytest.mark.parametrize("name", ["forest", "graph", "steps", "batch"])
@pytest.mark.parametrize("trusted", [True, False])
def test_each_kind_of_module_answers(clone, name, metric, trusted):
    """Modules with neighbours, three steps, batches and dict arguments are measured."""
    folder = clone / "ann_benchmarks" / "algorithms" / name
    read_it = manifest.read_directory if trusted else manifest.read_submission
    (found,) = read_it(folder)
    train = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    adapter = adapters.load(
        to_plain(found),
        metric=metric,
        dim=4,
        build=to_plain(found.variants[-1].build),
    )
    adapter.fit(train)
    adapter.set_search(to_plain(found.variants[-1].search))
    assert [int(adapter.query(row, 3)[0]) for row in train] == list(range(50))
    assert (adapter.prepared is not None) == (name == "steps")
    assert (adapter.batch is not None) == (name == "batch")
    if adapter.batch is not None:
        adapter.batch(train, 3)
        assert adapter.batch_fetch()[:, 0].tolist() == list(range(50))
    assert adapter.memory_bytes() is None
    adapter.done()


STORED = """
    import os
    from ...constants import INDEX_DIR
    from ...util import get_bool_env_var
    from ..forest.helper import nearest
    from ..base.module import BaseANN

    class Stored(BaseANN):
        def __init__(self, metric):
            self.metric = metric
            assert get_bool_env_var("NOT_SET_ANYWHERE", True)
        def fit(self, X):
            os.makedirs(INDEX_DIR)  # fails where another run has left its own
            with open(os.path.join(INDEX_DIR, "all"), "wb") as file:
                file.write(X.tobytes())
            self.X = X
        def query(self, v, n):
            return nearest(self.metric, self.X, v, n)
"""


@pytest.mark.parametrize(
    ("trusted", "isolation"), [(True, "auto"), (False, "auto"), (False, "process")]
)
def test_one_in_a_clone_runs_with_its_neighbours_and_leaves_no_files(
    clone, small_dataset, monkeypatch, trusted, isolation
):
    """Each run has its own working directory, as it has a container in ann-benchmarks."""
    text = config("g: {}").replace("constructor: Index", "constructor: Stored")
    folder = write(clone / "ann_benchmarks" / "algorithms" / "stored", STORED, text)
    (found,) = (manifest.read_directory if trusted else manifest.read_submission)(folder)
    here = clone / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    build = found.variants[0].build
    job = make_job(small_dataset(), folder, build=build, isolation=isolation)
    job = dataclasses.replace(job, implementation=found)
    for _ in range(2):
        (outcome,) = run_job(job, Path(job.dataset.source.removeprefix("file:")))
        assert measured(outcome).recall == 1.0
    assert not list(here.iterdir())
