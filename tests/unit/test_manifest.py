"""Implementations are read from their text, and an unusable text gives one clear message."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import contents, manifest
from pytest_annmodal.model import Arguments, Implementation

CLASS = "class Index:\n    def fit(self, X): ...\n    def query(self, v, k): ...\n"


def with_header(*lines: str, text: str = CLASS) -> str:
    return "\n".join(["# /// script", *(f"# {line}".rstrip() for line in lines), "# ///", text])


def read(tmp_path: Path, text: str | bytes, name: str = "mine.py", **kwargs) -> Implementation:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return manifest.read_file(path, **kwargs)


def with_methods(*names: str) -> str:
    return "class Index:\n" + "".join(f"    def {name}(self): ...\n" for name in names)


def annmodal(*lines: str) -> str:
    return with_header("[tool.annmodal]", *lines)


def labels(implementation: Implementation) -> list[str]:
    return [variant.label for variant in implementation.variants]


class TestHeader:
    def test_says_everything(self, tmp_path):
        """Each key of the header is read."""
        found = read(
            tmp_path,
            with_header(
                'requires-python = ">=3.11"',
                'dependencies = ["annoy>=1.17", "numpy"]',
                "",
                "[tool.annmodal]",
                'name = "My index"',
                'class = "Index"',
                'metrics = ["angular"]',
                "short-answers = true",
                "build = { n = 3 }",
                "search = { k = [1, 2] }",
                "[tool.uv]",
                "anything = 1",
            ),
        )
        assert found == Implementation(
            name="My-index",
            path=str(tmp_path / "mine.py"),
            class_name="Index",
            metrics=("angular",),
            requirements=("annoy>=1.17", "numpy"),
            short_answers=True,
            variants=found.variants,
        )
        assert labels(found) == ["n=3,k=1", "n=3,k=2"]

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (["build = { a = [1, 2], b = [3, 4] }"], ["a=1,b=3", "a=1,b=4", "a=2,b=3", "a=2,b=4"]),
            (["build = { b = 3, a = [1, 2] }"], ["b=3,a=1", "b=3,a=2"]),
            (["build = [{ a = [1, 2] }, { b = 3 }]"], ["a=1", "a=2", "b=3"]),
            (["build = { layers = [[1, 2]] }"], ["layers=[1,2]"]),
            (["build = { layers = [[1], [2, 3]] }"], ["layers=[1]", "layers=[2,3]"]),
            (["build = { x = { deep = [1] } }"], ['x={"deep":[1]}']),
            (["build.a = [true, 1.5]"], ["a=true", "a=1.5"]),
            (["build = {a = [1, 1]}"], ["a=1"]),
            (["build.a = [1, 2]", "search.s = [5]"], ["a=1,s=5", "a=2,s=5"]),
            (["build = {}"], [""]),
            ([], [""]),
        ],
    )  # fmt: skip
    def test_grids_expand_in_the_order_written(self, tmp_path, lines, expected):
        """Lists are alternatives, in their order; a list of tables is tried table by table."""
        assert labels(read(tmp_path, annmodal(*lines))) == expected

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["serach = { a = 1 }"], r"serach: there is no such key; did you mean 'search'"),
            (["zzz = 1"], "zzz: there is no such key. Known: build, class"),
            (['metrics = ["euclidian"]'], "no metric 'euclidian'; did you mean 'euclidean'"),
            (['metrics = ["zzz"]'], "no metric 'zzz'. Known: "),
            (
                ["metrics = []"],
                "metrics: expected one or more of euclidean, angular, dot, manhattan",
            ),
            (["metrics = [[1]]"], r"there is no metric \[1\]"),
            (["build = 3"], "build: expected a table, not 3"),
            (["build = []"], "build is an empty list"),
            (["build = [3]"], r"build\[0\]: expected a table, not 3"),
            (["build.a = []"], "build.a is an empty list"),
            (["build.a = nan"], "build.a: nan"),
            (["build.a = -inf"], "build.a: -inf"),
            (["build.a = 2020-01-01"], "build.a: 2020-01-01 is not a number"),
            (["build.a = [[2020-01-01]]"], "2020-01-01 is not"),
            (["short-answers = 1"], "short-answers: expected true or false"),
            (["class = 1"], "class: expected text in quotes, not 1"),
            (['name = ""'], "name: expected a text that is not blank"),
            (
                ['build = {a = "1..101", b = "1..100"}'],
                "make 10,100 settings; at most 10,000 are allowed",
            ),
            (["build = [" + '{a="0..999"},' * 11 + "]"], "at most 10,000"),
            (['build.a = "1..101"', 'search.b = "1..100"'], "make 10,100"),
            (['build.a = "8..4"'], "build.a: '8..4': expected the second number to be larger"),
            (['search.a = [1, "8..64:sqrt4"]'], "search.a: '8..64:sqrt4': expected A..B"),
            (
                ["name = 0x" + "f" * 9000],
                "name: expected text in quotes, not a number of thousands",
            ),
            (["build.a = 0x" + "f" * 9000], "build.a: a number of more than 1,024 bits"),
            (["oops"], "not valid TOML"),
            (["build = oops"], r"not valid TOML: .*\(at line 3, column 11\)"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, lines, message):
        """A mistake is named with the file, the key and the likely intention."""
        with pytest.raises(ConfigurationError, match=message) as caught:
            read(tmp_path, annmodal(*lines))
        assert str(caught.value).startswith(f"{tmp_path / 'mine.py'}: ")

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (['dependancies = ["a"]'], "did you mean 'dependencies'"),
            (['dependencies = "annoy"'], "dependencies: expected a list"),
            (['dependencies = ["not a name"]'], "'not a name' is not a requirement"),
            (["dependencies = [3]"], "3 is not a requirement"),
            (["tool = 3"], "tool: expected a table"),
            (["[tool]", "annmodal = 3"], "annmodal: expected a table"),
            (['requires-python = ">=9"'], "requires Python >=9, but this is Python 3"),
            (['requires-python = "new"'], "'new' is not a version range"),
            (["requires-python = 3"], "3 is not a version range"),
        ],
    )
    def test_mistakes_outside_of_our_table_are_named_too(self, tmp_path, lines, message):
        """A misspelt key outside of our table is named too."""
        with pytest.raises(ConfigurationError, match=message):
            read(tmp_path, with_header(*lines))

    def test_must_be_closed(self, tmp_path):
        """An unclosed header is named with its first line."""
        with pytest.raises(ConfigurationError, match=r"line 2: the header .* is not closed"):
            read(tmp_path, "# hello\n# /// script\n# dependencies = []\n" + CLASS)

    def test_must_be_the_only_one(self, tmp_path):
        """Two headers are refused."""
        with pytest.raises(ConfigurationError, match="line 6: a second"):
            read(tmp_path, with_header() + with_header())

    def test_may_have_windows_newlines_a_byte_order_mark_and_comments_around(self, tmp_path):
        """Windows newlines, a byte order mark and comments around a header are fine."""
        text = "# Mine.\n" + annmodal("build.a = 1").replace("# ///\n", "# ///\n# More.\n")
        found = read(tmp_path, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
        assert labels(found) == ["a=1"]

    def test_chooses_among_classes(self, tmp_path):
        """The key ``class`` chooses among several classes."""
        text = annmodal('class = "Second"') + CLASS + CLASS.replace("Index", "Second")
        assert read(tmp_path, text).class_name == "Second"


class TestBareFile:
    def test_needs_nothing_but_a_class(self, tmp_path):
        """Without a header: two metrics, no parameters, imports as requirements."""
        found = read(tmp_path, "import os\nimport annoy\nimport numpy as np\n" + CLASS)
        assert found.class_name == "Index"
        assert found.metrics == ("euclidean", "angular")
        assert found.modules == ("annoy", "numpy")
        assert found.requirements == ()
        assert found.variants[0].build == Arguments()
        assert found.name == "mine"

    @pytest.mark.parametrize(
        "text",
        [
            "class Node:\n    def query(self): ...\n" + CLASS,
            "class Base:\n    def fit(self): ...\nclass Index(Base):\n    def query(self): ...\n",
            CLASS.replace("Index", "Base") + "class Index(Base): ...\n",
            CLASS.replace("Index", "A") + "class B(A): ...\nclass Index(B): ...\n",
            CLASS.replace("Index", "_Helper") + CLASS,
            CLASS.replace("Index:", "Likeness(Protocol):") + CLASS,
            "class Index(BaseANN):\n    def fit(self, X): ...\n",
            "class Index(base.BaseANN): ...\n",
            with_methods("fit", "batch_query", "get_batch_results"),
            with_methods(
                "fit", "prepare_query", "run_prepared_query", "get_prepared_query_results"
            ),
            "class Index:\n    def fit(self): ...\n    def search(self): ...\n    query = search\n",
            "try:\n    import fast\nexcept ImportError:\n    fast = None\nif fast:\n    1\nelse:\n"
            + "".join(f"    {line}\n" for line in CLASS.splitlines()),
            "from .faiss import Faiss\nclass Index(Faiss):\n    def fit(self, X): ...\n",
            "class Index(Generic[T]):\n    def fit(self): ...\n    async def query(self): ...\n",
            with_methods("fit", "batch_query"),
            with_methods("fit", "kneighbors"),
            with_methods("fit", "kneighbors").replace("Index", "Estimator") + CLASS,
            "from core import Base\nclass Index(Base): ...\n",
            "from .core import Index\n",
            "from helper import Other as Index, distance\n",
            "class Loop(Loop): ...\nclass A(B): ...\nclass B(A): ...\n" + CLASS,
        ],
    )
    def test_the_class_is_found_by_reading(self, tmp_path, text):
        """Inherited methods count; base classes and private ones are not chosen."""
        (tmp_path / "helper.py").touch()
        assert read(tmp_path, text).class_name == "Index"

    def test_imports_that_are_not_needed_at_once_are_no_requirements(self, tmp_path):
        """Siblings, guarded imports, the standard library and the harness's packages are no requirements."""
        (tmp_path / "helper.py").touch()
        (tmp_path / "package").mkdir()
        text = (
            "import json, helper, package.inner, mine\nfrom . import other\nfrom ..base import x\n"
            "from ann_benchmarks.algorithms.base.module import BaseANN\nimport pytest_annmodal\n"
            "try:\n    import fast\nexcept ImportError: pass\ndef f():\n    import late\n"
            "from scipy.spatial import cKDTree\n"
        )
        assert read(tmp_path, text + CLASS).modules == ("mine", "scipy")

    def test_what_lies_in_a_folder_that_it_puts_on_the_path_is_no_requirement(self, tmp_path):
        """Modules in a folder that the file adds to ``sys.path`` are no requirements."""
        (tmp_path / "src" / "mylib").mkdir(parents=True)
        text = "import sys\nsys.path.insert(0, 'src')\nimport mylib\nimport scipy\n" + CLASS
        assert read(tmp_path, text).modules == ("scipy",)
        assert read(tmp_path, "import mylib\n" + CLASS).modules == ("mylib",)

    def test_a_header_without_dependencies_does_not_hide_the_imports(self, tmp_path):
        """Without the key the imports are the requirements; an empty list means none."""
        text = "import annoy\n" + CLASS
        assert read(tmp_path, annmodal() + text).modules == ("annoy",)
        assert read(tmp_path, with_header("dependencies = []") + text).modules == ()

    def test_one_for_another_harness_says_so(self, tmp_path):
        """A file for another harness is named as such."""
        text = "from benchmark.algorithms.base import BaseANN\n" + CLASS
        with pytest.raises(
            ConfigurationError, match="of big-ann-benchmarks, whose classes have another"
        ):
            read(tmp_path, text)
        assert read(tmp_path, "import benchmark\n" + CLASS).modules == ("benchmark",)

    def test_nothing_is_run(self, tmp_path):
        """Reading runs neither the file nor its decorators."""
        read(tmp_path, "raise SystemExit(1)\n" + CLASS)


BROKEN = {
    "empty": (b"", "is empty; write a class with fit"),
    "blank": (b" \n\t\n", "is empty"),
    "latin-1": ("class Index: # é".encode("latin-1"), r"line 1 is not UTF-8 text \(byte 0xe9\)"),
    "binary": (b"\x00\x01", "cannot be parsed as Python: source code string cannot contain null"),
    "syntax": (b"x = 1\ndef f(:\n", r"syntax error in line 2: .*def f\(:"),
    "indentation": (b"class A:\npass\n", "syntax error in line 2: expected an indented block"),
    "deep": (b"(" * 5000 + b")" * 5000, "syntax error|cannot be parsed"),
    "no class": (b"x = 1\n", r"both fit\(X\) and query\(v, k\) \(classes found: none"),
    "wrong class": (b"class A:\n    def fit(self): ...\n", "classes found: A"),
    "two classes": (
        (CLASS + CLASS.replace("Index", "Other")).encode(),
        'more than one class .*: Index, Other; choose one with class = "Index"',
    ),
    "bad header": (annmodal("clas = 1").encode(), "did you mean 'class'"),
    "too long": (b"#" * (contents.MAX_SOURCE_BYTES + 1), "has 5242881 bytes; at most 5242880"),
}  # fmt: skip


class TestBadInput:
    @pytest.mark.parametrize(("raw", "message"), BROKEN.values(), ids=BROKEN)
    def test_of_the_users_own_is_an_error(self, tmp_path, raw, message):
        """For a user's own file the error names it and what to do."""
        with pytest.raises(ConfigurationError, match=f"mine.py: .*({message})"):
            read(tmp_path, raw)

    @pytest.mark.parametrize(("raw", "message"), BROKEN.values(), ids=BROKEN)
    def test_of_a_submission_is_kept_with_it(self, tmp_path, raw, message):
        """A submission's error is kept with it, and the session continues."""
        path = tmp_path / "mine.py"
        path.write_bytes(raw)
        with pytest.raises(ConfigurationError) as caught:
            manifest.read_file(path)
        (found,) = manifest.read_submission(path)
        assert found.error == str(caught.value)
        assert (found.name, found.trusted) == ("mine", False)

    def test_a_missing_file_is_named(self, tmp_path):
        """Both ways."""
        path = tmp_path / "gone.py"
        with pytest.raises(ConfigurationError, match=r"gone.py: there is no such file"):
            manifest.read_file(path)
        (found,) = manifest.read_submission(path)
        assert "no such file" in found.error

    def test_a_file_name_that_python_cannot_import_is_refused(self, tmp_path):
        """A file name that Python cannot import is refused with a correct one."""
        path = tmp_path / "mine"
        path.write_text(CLASS)
        (found,) = manifest.read_submission(path)
        assert (
            found.error
            == f"{path}: does not have the suffix of Python or C++; rename it to end in .py or .cpp"
        )

    @pytest.mark.parametrize("name", ["x" * 300 + ".py", "a\0b.py"])
    def test_an_impossible_name_is_an_error_like_another(self, name):
        """A file name that the system refuses is an ordinary error."""
        (found,) = manifest.read_submission(name)
        assert found.error

    def test_a_pipe_is_not_opened(self, tmp_path):
        """A pipe is refused, since reading it would not end."""
        import os

        os.mkfifo(tmp_path / "pipe.py")
        (found,) = manifest.read_submission(tmp_path / "pipe.py")
        assert "is not a regular file" in found.error

    def test_a_long_chain_of_elif_is_no_crash(self, tmp_path):
        """A syntax tree that is too deep is an error."""
        text = "if x: 1\n" + "elif x: 1\n" * 900 + CLASS
        (found,) = [read(tmp_path, text, trusted=False)]
        assert found.class_name == "Index" or "nested too deeply" in found.error


class TestSubmission:
    @pytest.mark.parametrize(
        ("files", "chosen", "name"),
        [
            (["index.py"], "index.py", "alice"),
            (["submission.py", "student.py", "x.py"], "submission.py", "alice"),
            (["student.py", "x.py"], "student.py", "alice"),
            (["algorithm.py", "x.py"], "algorithm.py", "alice"),
            (["alice.py", "x.py"], "alice.py", "alice"),
            (["__init__.py", "x.py"], "__init__.py", "alice"),
            (["index.py", "_private.py", "conftest.py", "test_index.py"], "index.py", "alice"),
            (["_only.py"], "_only.py", "alice"),
        ],
    )
    def test_in_a_folder_is_found_by_name(self, tmp_path, files, chosen, name):
        """The main file of a folder is found by its name, in the documented order."""
        for file in files:
            read(tmp_path, CLASS, f"alice/{file}")
        (found,) = manifest.read_submission(tmp_path / "alice")
        assert (found.path, found.name) == (str(tmp_path / "alice" / chosen), name)
        assert found.error is None
        assert not found.trusted

    def test_in_a_folder_is_the_only_file_with_a_class(self, tmp_path):
        """The only file with a class is the main one, also beside broken files."""
        read(tmp_path, CLASS, "bob/graph.py")
        (tmp_path / "bob" / "numbers.py").write_text("x = 1\n")
        (tmp_path / "bob" / "broken.py").write_text("def (\n")
        (found,) = manifest.read_submission(tmp_path / "bob")
        assert found.path.endswith("graph.py")

    @pytest.mark.parametrize(
        ("text", "chosen"),
        [
            ("", "graph.py"),
            ('"""My index."""\n', "graph.py"),
            ("from .graph import Index\n", "__init__.py"),
        ],
    )
    def test_in_a_package_is_its_init_file_only_if_that_offers_a_class(
        self, tmp_path, text, chosen
    ):
        """``__init__.py`` is the main file if it offers a class."""
        read(tmp_path, CLASS, "bob/graph.py")
        (tmp_path / "bob" / "__init__.py").write_text(text)
        (found,) = manifest.read_submission(tmp_path / "bob")
        assert found.error is None
        assert found.path.endswith(chosen)

    def test_in_a_package_of_nothing_else_is_its_init_file(self, tmp_path):
        """``__init__.py`` alone is the main file, and named in the error."""
        (tmp_path / "bob").mkdir()
        (tmp_path / "bob" / "__init__.py").write_text("")
        (found,) = manifest.read_submission(tmp_path / "bob")
        assert found.error.endswith(
            "__init__.py: is empty; write a class with fit(X) and query(v, k) in it"
        )

    def test_in_a_folder_may_be_unclear(self, tmp_path):
        """If several files could be the main one, the message says how to decide."""
        read(tmp_path, CLASS, "bob/a.py")
        read(tmp_path, CLASS, "bob/b.py")
        (found,) = manifest.read_submission(tmp_path / "bob")
        assert "several files that could be the submission: a.py, b.py; call" in found.error
        assert found.name == "bob"

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            ({"module.py": CLASS, "b.py": CLASS}, "add config.yml beside module.py"),
            ({"module.py": "x = 1\n"}, "add config.yml beside module.py"),
            ({"config.yml": "float: {}\n"}, "add module.py beside config.yml"),
        ],
    )
    def test_a_folder_may_be_half_of_an_ann_benchmarks_one(self, tmp_path, files, words):
        """The missing half of an ann-benchmarks folder is named, unless module.py runs alone."""
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        (found,) = manifest.read_submission(tmp_path)
        assert f"(for an ann-benchmarks folder, {words})" in found.error
        (tmp_path / "whole").mkdir()
        (tmp_path / "whole" / "module.py").write_text(CLASS)
        (whole,) = manifest.read_submission(tmp_path / "whole")
        assert whole.error is None

    @pytest.mark.parametrize("entry", ["submission.py", "algorithm.cpp"])
    @pytest.mark.parametrize("kind", ["link", "pipe", "many", "hidden link"])
    def test_a_folder_holds_regular_files_and_not_too_many(
        self, tmp_path, monkeypatch, entry, kind
    ):
        """Other kinds of files and too many files are refused; hidden folders are ignored."""
        read(tmp_path, CLASS, entry)
        inner = tmp_path / (".hidden" if kind == "hidden link" else "inner")
        inner.mkdir()
        monkeypatch.setattr(contents, "MAX_ENTRIES", 4)
        if kind == "pipe":
            os.mkfifo(inner / "x")
        elif kind == "many":
            for number in range(4):
                (inner / str(number)).touch()
        else:
            (inner / "x").symlink_to("/etc/passwd")
        (found,) = manifest.read_submission(tmp_path)
        words = {
            "link": "'inner/x' is a link, which is not followed; hand in the file itself",
            "pipe": "'inner/x' is not a regular file",
            "many": "has more than 4 files and folders",
            "hidden link": None,
        }[kind]
        assert found.error == (words and f"{tmp_path}: {words}")

    def test_in_a_folder_may_be_missing(self, tmp_path):
        """An empty folder is refused."""
        (found,) = manifest.read_submission(tmp_path)
        assert "has neither a .py file" in found.error

    @pytest.mark.parametrize(
        ("files", "chosen"),
        [
            (["homework3/index.py"], "homework3/index.py"),
            (["README.txt", "a/b/c/index.py", "a/b/c/inner/helper.py"], "a/b/c/index.py"),
            (["homework3/index.py", "__MACOSX/homework3/index.py"], "homework3/index.py"),
            (["homework3/index.py", ".git/hooks/x.py"], "homework3/index.py"),
            (["setup.py", "src/index.py"], "src/index.py"),
            (["__init__.py", "hw/index.py"], "hw/index.py"),
            (["index.py", "other/index.py"], "index.py"),
            (["._index.py", "index.py~", "index.py"], "index.py"),
        ],
    )
    def test_in_a_folder_in_a_folder(self, tmp_path, files, chosen):
        """A folder that only contains a folder is read, and gives the name."""
        for file in files:
            (tmp_path / "carol" / file).parent.mkdir(parents=True, exist_ok=True)
            left = file.startswith("__") or "._" in file
            (tmp_path / "carol" / file).write_text("" if left else CLASS)
        (found,) = manifest.read_submission(tmp_path / "carol")
        assert found.error is None
        assert found.name == "carol"
        assert found.path == str(tmp_path / "carol" / chosen)

    def test_an_ann_benchmarks_folder_in_a_folder(self, tmp_path):
        """An ann-benchmarks folder inside another one has the outer one's name."""
        inner = tmp_path / "carol" / "hw3"
        inner.mkdir(parents=True)
        (inner / "module.py").write_text(CLASS)
        (inner / "config.yml").write_text(
            "float:\n  any:\n  - {name: x, constructor: Index, base_args: ['@metric'], "
            "module: m, docker_tag: t, run_groups: {a: {args: []}}}\n"
        )
        (found,) = manifest.read_submission(tmp_path / "carol")
        assert (found.error, found.name, found.folder) == (None, "carol", str(inner))

    def test_folders_in_a_folder_may_be_several(self, tmp_path):
        """Several inner folders are listed, since only the author knows the right one."""
        for name in ("homework3", "homework4"):
            read(tmp_path, CLASS, f"carol/{name}/index.py")
        (found,) = manifest.read_submission(tmp_path / "carol")
        assert found.error == (
            f"{tmp_path}/carol: has Python or C++ files in several folders (homework3, "
            "homework4); hand in the one that holds the index, or put a submission.py beside them"
        )

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            (
                "my dan.ipynb",
                "is a notebook; export it with `jupyter nbconvert --to script 'my dan.ipynb'` and",
            ),
            ("eve.zip", "is an archive; unpack it with `unzip eve.zip` and hand in the folder"),
            ("eve.tar.gz", "is an archive; unpack it with `tar xf eve.tar.gz` and hand in the"),
        ],
    )
    def test_of_the_wrong_shape(self, tmp_path, name, words):
        """A notebook or an archive is refused with what to do."""
        (tmp_path / "in").mkdir()
        for place in (tmp_path / name, tmp_path / "in" / name):
            place.write_bytes(b"PK\x03\xff")
        (alone,) = manifest.read_submission(tmp_path / name)
        assert words in alone.error
        (inside,) = manifest.read_submission(tmp_path / "in")
        assert f"has no Python or C++ file: '{name}' {words}" in inside.error

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("alice/submission.py", "alice"),
            ("alice/algorithm.py", "alice"),
            ("alice/student.py", "student"),
            ("a b;\n<c>.py", "a-b-c"),
            ("Zoë.py", "Zoe"),
            ("Øystein Weiß.py", "Oystein-Weiss"),
            ("张三.py", "u5f20u4e09"),
            ("デ.py", "u30c7"),
            ("テ.py", "u30c6"),
            ("x²😀.py", "x2"),
            ("--x.py", "x"),
            ("???.py", "unnamed"),
            ("y" * 100 + ".py", "y" * 64),
        ],
    )
    def test_is_named_after_its_path(self, tmp_path, path, name):
        """The name has safe letters only; a general file name is replaced by its folder's."""
        read(tmp_path, CLASS, path)
        (found,) = manifest.read_submission(tmp_path / path)
        assert found.name == name

    def test_does_not_choose_its_name(self, tmp_path):
        """A submission's header cannot choose its name."""
        text = annmodal('name = "bruteforce"')
        assert read(tmp_path, text, trusted=False).name == "mine"
        assert read(tmp_path, text).name == "bruteforce"
        assert manifest.read_file(tmp_path / "mine.py", name="given").name == "given"


class TestDirectory:
    def test_gives_its_public_implementations(self, tmp_path):
        """Helpers and private files in a folder are left out."""
        read(tmp_path, CLASS, "b.py")
        read(tmp_path, annmodal('class = "Index"'), "a.py")
        read(tmp_path, CLASS, "_private.py")
        read(tmp_path, CLASS, "test_a.py")
        (tmp_path / "helper.py").write_text("x = 1\n")
        (tmp_path / "notes.txt").write_text("x = 1\n")
        found = manifest.read_directory(tmp_path)
        assert [(item.name, item.trusted) for item in found] == [("a", True), ("b", True)]

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("gone", None, "there is no such directory"),
            ("empty", None, "no implementations here"),
            ("broken", "def (", "syntax error in line 1"),
        ],
    )
    def test_that_cannot_be_used_is_an_error(self, tmp_path, name, text, message):
        """A user's own broken file is an error."""
        folder = tmp_path / name
        if name != "gone":
            folder.mkdir()
        if text:
            (folder / "x.py").write_text(text)
        with pytest.raises(ConfigurationError, match=message):
            manifest.read_directory(folder)


class TestRequirements:
    @pytest.mark.parametrize(
        ("requirement", "missing"),
        [
            ("numpy", False),
            ("numpy>=1.26", False),
            ("NumPy[extra]>=1", False),
            ("numpy>=999", True),
            ("no-such-distribution", True),
            ('no-such-distribution; sys_platform == "nowhere"', False),
            ('no-such-distribution; python_version >= "3.11"', True),
            ("not a requirement", True),
        ],
    )
    def test_are_looked_up_among_the_installed(self, requirement, missing):
        """Versions, extras and markers of requirements are compared as by pip."""
        found = Implementation(name="x", path="x", class_name="X", requirements=(requirement,))
        assert manifest.missing_requirements(found) == ([requirement] if missing else [])

    @pytest.mark.parametrize("installed", ["faiss", "faiss-gpu", "faiss-gpu-cu12"])
    def test_builds_for_other_hardware_satisfy(self, monkeypatch, installed):
        """Variants such as conda's ``faiss`` satisfy ``faiss-cpu``."""
        from importlib import metadata

        def version(name: str) -> str:
            if name != installed:
                raise metadata.PackageNotFoundError(name)
            return "1.8.0"

        monkeypatch.setattr(metadata, "version", version)
        for text, missing in [("faiss-cpu>=1.8", False), ("faiss-cpu>=1.9", True)]:
            found = Implementation(name="x", path="x", class_name="X", requirements=(text,))
            assert bool(manifest.missing_requirements(found)) == missing

    def test_of_a_bare_file_are_modules(self, monkeypatch):
        """Imports are shown by the name of the package that pip installs."""
        monkeypatch.setitem(sys.modules, "faiss", None)
        found = Implementation(
            name="x", path="x", class_name="X", modules=("numpy", "no_such_module", "faiss")
        )
        assert manifest.missing_requirements(found) == ["no_such_module", "faiss-cpu"]


def test_the_built_in_implementations_are_well_formed():
    """Each built-in has a header with a class and requirements, and a name with dashes."""
    found = {item.name: item for item in manifest.builtin()}
    assert set(found) == {
        "annoy", "bruteforce", "faiss-binary-flat", "faiss-hnsw", "faiss-ivf", "hnswlib", "pynndescent",
        "scikit-learn", "usearch",
    }  # fmt: skip
    assert all(item.requirements and item.trusted and not item.modules for item in found.values())
    assert found["annoy"].class_name == "Annoy"


def test_the_template_for_students_is_well_formed():
    """The template can be read."""
    (found,) = manifest.read_submission(Path(__file__).parents[2] / "benchmarks" / "student.py")
    assert (found.name, found.error, found.class_name) == ("student", None, "StudentIndex")
    assert found.metrics == ("euclidean", "angular", "dot")
    assert len(found.variants) == 3


def test_reading_headers_imports_nothing_heavy():
    """Reading headers imports nothing heavy."""
    code = (
        "import sys; from pytest_annmodal.manifests import manifest; manifest.builtin();"
        "print([m for m in ('numpy', 'yaml', 'annoy', 'faiss') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
