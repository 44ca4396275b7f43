"""Submits texts that are expensive to read: many settings, huge or nested Python, many files."""

import pytest
from jobs import EXACT
from witnesses import failed

from pytest_annmodal.grading import requirements
from pytest_annmodal.manifests import manifest, source


def test_more_settings_than_fresh_queries(attack, strict):
    """More settings than fresh queries are the submission's failure, not the dataset's."""
    outcomes = attack(EXACT, settings=range(61))
    assert {failed(outcome).kind for outcome in outcomes} == {"too-many-settings"}
    assert {outcome.blame for outcome in outcomes} == {"submission"}
    assert "asks for 61 search settings of one build" in outcomes[0].message
    assert "at most 60" in outcomes[0].message


TEXTS = {
    "a node for each two bytes": "a\n" * 2**21,
    "a list of numbers": "x = [" + "0," * 2**21 + "]",
    "a string of expressions, for which Python 3.11 needs the square of its length": (
        "x = f'" + "{a}" * 2**20 + "'"
    ),
    "a deep tree": "x = a" + ".a" * 2**20,
}


@pytest.mark.parametrize("how", TEXTS)
def test_python_that_is_dear_to_parse(tmp_path, strict, how):
    """Python text that is too long is refused before it is parsed."""
    path = tmp_path / "mine.py"
    path.write_text(TEXTS[how])
    (found,) = manifest.read_submission(path)
    assert f"at most {source.MAX_CHARS:,} are read" in found.error


def test_a_folder_of_many_candidates(tmp_path, strict, monkeypatch):
    """Only a few files of a folder are parsed."""
    parsed = []
    parse = source.parse
    monkeypatch.setattr(source, "parse", lambda text: parsed.append(text) or parse(text))
    for number in range(200):
        (tmp_path / f"index{number}.py").write_text("x = 1\n")
    (found,) = manifest.read_submission(tmp_path)
    assert "has several files that could be the submission" in found.error
    assert len(found.error) < 1000
    assert len(parsed) <= manifest.MAX_CANDIDATES


CONFIG = """
bomb: &a0 {{x: 1}}
{levels}
float:
  any:
  - {{constructor: M, run_groups: {{base: {{args: [1]}}}}, {key}}}
"""
LISTS = "[" + ", ".join(["*a{0}"] * 10) + "]"
CONFIGS = {
    "a name": ("{1}: &a{1} " + LISTS, "name: *a9"),
    "a module": ("{1}: &a{1} " + LISTS, "module: *a9"),
    "merged mappings": ("{1}: &a{1} {{<<: " + LISTS + "}}", "name: x"),
    "an alias of itself": ("{1}: &a{1} [*a{1}]", "name: *a9"),
}


@pytest.mark.parametrize("how", CONFIGS)
def test_a_config_whose_aliases_mean_a_billion_values(tmp_path, strict, how):
    """A small YAML file with a billion values by aliases is refused."""
    line, key = CONFIGS[how]
    levels = "\n".join(line.format(n, n + 1) for n in range(9))
    (tmp_path / "config.yml").write_text(CONFIG.format(levels=levels, key=key))
    (tmp_path / "module.py").write_text(EXACT)
    (found,) = manifest.read_submission(tmp_path)
    assert "it expands to more than 20,000 values, or refers to itself" in found.error


HEADERS = {
    "a long value": ('build.x = "' + "y" * 10**4 + '"', "at most 2,000 are allowed"),
    "a million settings": (
        f"build.x = {[*range(1000)]}\n# search.y = {[*range(1000)]}",
        "1,000,000 settings",
    ),
    "tables without end": ("build.x = " + "[" * 9000 + "]" * 9000, "header"),
    "a dotted class": ('class = "os.system"', None),
    "a trusted one": ("trusted = true", "trusted: there is no such key"),
    "another's name": ('name = "../../best"', None),
}


@pytest.mark.parametrize("how", HEADERS)
def test_a_header_that_claims_too_much(tmp_path, strict, how):
    """An excessive header is a short error."""
    lines, error = HEADERS[how]
    path = tmp_path / "mine.py"
    path.write_text(f"# /// script\n# [tool.annmodal]\n# {lines}\n# ///\n" + EXACT)
    (found,) = manifest.read_submission(path)
    assert (found.name, found.trusted) == ("mine", False)
    if error is None:
        assert found.error is None
    else:
        assert error in found.error
        assert len(found.error) < 1000


HEAD = "# /// script\n{0}\n# [tool.annmodal]\n{1}\n# ///\n" + EXACT
DIGITS = "9" * 5000  # more than Python turns into a number, or out of one
BREAKING = {
    "a number of 5000 digits": HEAD.format("#", f"# build.x = {DIGITS}"),
    "a number that cannot be written": HEAD.format("#", f"# build.x = 0x{'f' * 5000}"),
    "nested keys": HEAD.format("#", "# build.x" + ".a" * 3000 + " = 1"),
    "more nested keys": HEAD.format("#", "# build.x" + ".a" * 10_000 + " = 1"),
    "a long Python": HEAD.format(f'# requires-python = ">={DIGITS}"', "#"),
    "a long version": HEAD.format(f'# dependencies = ["numpy>={DIGITS}"]', "#"),
    "a marker": HEAD.format("# dependencies = [\"numpy; python_version ~= 'x'\"]", "#"),
    "a long marker": HEAD.format(f"# dependencies = [\"numpy; python_version > '{DIGITS}'\"]", "#"),
    "a long key": HEAD.format("#", f"# {'y' * 15_000} = 1"),
    "a module whose name is no file's": f"import {'a' * 300}\n" + EXACT,
}


@pytest.mark.parametrize("how", BREAKING)
def test_a_text_that_breaks_a_parser(tmp_path, strict, how):
    """A text that breaks the parser fails one submission; the others are graded."""
    path = tmp_path / "mine.py"
    path.write_text(BREAKING[how])
    (found,) = manifest.read_submission(path)
    assert len(found.error or "") < 1000
    assert found.error or requirements.refusal(found, None)


WORDS = ["0x" + "f" * 5000, ":".join(["1"] * 3000), "1:" * 3000 + "1.0", '!!bool "x"', "y" * 10**5]


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word[:10])
def test_a_config_that_breaks_a_parser(tmp_path, strict, word):
    """A YAML text that breaks the parser fails one submission."""
    group = f"{{constructor: M, run_groups: {{base: {{args: [{word}]}}}}}}"
    (tmp_path / "config.yml").write_text(f"float:\n  any:\n  - {group}\n")
    (tmp_path / "module.py").write_text(EXACT)
    (found,) = manifest.read_submission(tmp_path)
    assert 0 < len(found.error) < 1000


@pytest.mark.parametrize("name", ["os.system", "__builtins__", "", "Index.fit", "Index()"])
def test_a_class_that_is_no_class_of_its_file(attack, strict, name):
    """The class's name is looked up in the file only."""
    (outcome,) = attack(EXACT, implementation={"class_name": name})
    assert failed(outcome).kind == "raised"
