"""A header is read as it was written, and no text breaks the reader."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_annmodal.distances import metrics
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import ann_benchmarks, header, manifest, source
from pytest_annmodal.model import Implementation, from_plain, to_plain

CLASS = "class Index:\n    def fit(self, X): ...\n    def query(self, v, k): ...\n"
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
texts = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8)
scalars = (
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = scalars | st.lists(scalars | st.lists(scalars, max_size=2), min_size=1, max_size=3)
grids = st.dictionaries(names, values, max_size=3)


def toml(value: object) -> str:
    """A value as TOML: JSON's spelling, except for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


@given(
    build=grids,
    search=st.lists(grids, min_size=1, max_size=2),
    metrics=st.lists(st.sampled_from(metrics.NAMES), min_size=1, unique=True),
    short=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
)
@settings(deadline=None)
def test_a_header_is_read_as_it_was_written(
    tmp_path_factory, build, search, metrics, short, newline
):
    """Every value keeps its type and order."""
    lines = [
        "dependencies = ['numpy>=1']",
        "[tool.annmodal]",
        f"metrics = {toml(metrics)}",
        f"short-answers = {toml(short)}",
        f"build = {toml(build)}",
        f"search = {toml(search)}",
    ]
    text = "\n".join(["# /// script", *(f"# {line}" for line in lines), "# ///", CLASS])
    path = tmp_path_factory.getbasetemp() / "round_trip.py"
    path.write_bytes(text.replace("\n", newline).encode())
    found = manifest.read_file(path)
    assert found.requirements == ("numpy>=1",)
    assert found.metrics == tuple(metrics)
    assert found.short_answers == short
    assert {variant.build.key for variant in found.variants} == {
        arguments.key for arguments in header.grid(build, "build")
    }
    assert {variant.search.key for variant in found.variants} == {
        arguments.key for arguments in header.grid(search, "search")
    }
    for variant in found.variants:
        assert list(variant.build.kwargs) == list(build)
        for key, value in variant.build.kwargs.items():
            assert value in build[key] if isinstance(build[key], list) else value == build[key]
    assert from_plain(Implementation, json.loads(json.dumps(to_plain(found)))) == found


pieces = st.sampled_from(
    ["# /// script", "# ///", "# [tool.annmodal]", "# class = 'A'", "# build = {a=[1,2]}", "#",
     "class A:", "    def fit(self): ...", "    def query(self): ...", "if 1:", "try:", "import x",
     "# dependencies = ['x y']", "(", '"""', "\\", "\x0c", "class B(A): ...", "é"]
)  # fmt: skip
sources = st.lists(pieces | st.text(max_size=20), max_size=12).map("\n".join)


@given(st.binary(max_size=200) | sources.map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_an_implementation_or_one_clear_error(tmp_path_factory, raw):
    """Any bytes give an implementation or one error."""
    path = tmp_path_factory.getbasetemp() / "anything.py"
    path.write_bytes(raw)
    (found,) = manifest.read_submission(path)
    assert not found.trusted
    assert bool(found.error) != bool(found.class_name)
    if found.error:
        with pytest.raises(ConfigurationError) as caught:
            manifest.read_file(path)
        assert str(caught.value) == found.error
    else:
        assert manifest.read_file(path).class_name == found.class_name
    json.dumps(to_plain(found), allow_nan=False)


@given(sources)
@settings(deadline=None)
def test_any_text_has_a_header_or_none_or_an_error(text):
    """Any text gives a header, None or an error."""
    for read in (header.parse, lambda text: source.candidates(source.parse(text))):
        with contextlib.suppress(ConfigurationError):
            read(text)


yaml_values = st.recursive(
    st.none() | scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.text(max_size=60)
    | st.fixed_dictionaries(
        {"constructor": st.just("C")},
        optional={
            "name": scalars,
            "base_args": yaml_values,
            "run_groups": st.dictionaries(
                texts,
                st.fixed_dictionaries(
                    {},
                    optional=dict.fromkeys(
                        ["args", "query_args", "arg_groups", "query-arg-groups"], yaml_values
                    ),
                ),
                max_size=2,
            ),
        },
    ).map(lambda table: json.dumps({"float": {"any": [table]}}))
)
@settings(deadline=None, max_examples=200)
def test_any_config_gives_definitions_or_an_error(tmp_path_factory, text):
    """Any config.yml gives definitions, which survive as plain data, or an error."""
    try:
        found = ann_benchmarks.read_config(
            text, tmp_path_factory.getbasetemp(), modules=(), trusted=True
        )
    except ConfigurationError:
        return
    for item in found:
        assert from_plain(Implementation, json.loads(json.dumps(to_plain(item)))) == item


@given(st.text())
def test_a_sanitised_name_is_safe(name):
    """A sanitised name is safe in a pytest id, a table and a file name."""
    safe = manifest.sanitise(name)
    assert safe
    assert len(safe) <= 64
    assert manifest.sanitise(safe) == safe
    assert set(safe) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert safe[0] not in ".-"
