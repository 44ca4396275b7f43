"""Jobs and outcomes survive as plain data, and cases have names."""

import json
from pathlib import Path

import pytest

from pytest_annmodal.model import (
    Arguments,
    Case,
    Dataset,
    Implementation,
    Job,
    Limits,
    Search,
    Variant,
    from_plain,
    to_plain,
)
from pytest_annmodal.outcome import Failure, Measurement, outcome_from_plain, outcome_to_plain
from pytest_annmodal.results.rows import Row, row

BUILD = Arguments(args=("@metric", 16, {"M": 4}), kwargs={"ef": [1, 2], "fast": True})
VARIANT = Variant(build=Arguments(kwargs={"n_trees": 10}), search=Arguments(args=(100,)))
DATASET = Dataset(name="d-8-euclidean", source="file:/d.hdf5", size_bytes=5, dim=8)
IMPLEMENTATION = Implementation(
    name="mine",
    path="/mine.py",
    class_name="Index",
    metrics=("dot",),
    requirements=("numpy>1",),
    modules=("faiss",),
    variants=(VARIANT,),
    trusted=False,
)
JOB = Job(
    dataset=DATASET,
    implementation=IMPLEMENTATION,
    build=BUILD,
    searches=(Search(case_id="c", arguments=VARIANT.search, k=5, rounds=2),),
    limits=Limits(clock="parent", memory_bytes=5),
)
MEASUREMENT = Measurement(
    case_id="c",
    k=5,
    rounds=1,
    metric="dot",
    dim=8,
    n_train=10,
    n_queries=2,
    recall=1.0,
    recall_ids=1.0,
    recall_ann_benchmarks=1.0,
    latencies_ns=(1, 2),
    qps=1.0,
    mean_s=1.0,
    p50_s=1.0,
    p95_s=1.0,
    p99_s=1.0,
    batch_qps=None,
    batch_recall=None,
    build_s=1.0,
    first_query_ns=1,
    index_bytes=1,
    reported_index_bytes=None,
    peak_rss_bytes=1,
    clock="worker",
    clock_floor_ns=1,
    mailbox_floor_ns=1,
    environment={"cpu": "x"},
    notes=("noisy",),
)


@pytest.mark.parametrize("value", [DATASET, BUILD, VARIANT, IMPLEMENTATION, JOB], ids=repr)
def test_everything_comes_back_from_json_as_it_was(value):
    """A job is equal after JSON, with its tuples."""
    assert from_plain(type(value), json.loads(json.dumps(to_plain(value)))) == value


@pytest.mark.parametrize(
    "outcome", [MEASUREMENT, Failure(case_id="c", kind="raised", message="m")], ids=["m", "f"]
)
def test_an_outcome_comes_back_from_json_as_it_was(outcome):
    """An outcome is equal after JSON; older journals without the type are read too."""
    plain = json.loads(json.dumps(outcome_to_plain(outcome)))
    assert plain["type"] == type(outcome).__name__.lower()
    assert outcome_from_plain(plain) == outcome
    assert outcome_from_plain(json.loads(json.dumps(to_plain(outcome)))) == outcome


@pytest.mark.parametrize(
    "change", [{"type": "other"}, {"recall": "high"}, {"k": None}, {"notes": "noisy"}]
)
def test_an_outcome_of_other_types_is_refused(change):
    """Each value must be of its field's type."""
    with pytest.raises(ValueError, match=r"Expected|no outcome of type"):
        outcome_from_plain({**json.loads(json.dumps(outcome_to_plain(MEASUREMENT))), **change})


@pytest.mark.parametrize(
    "outcome", [MEASUREMENT, Failure(case_id="c", kind="raised", message="m")], ids=["m", "f"]
)
def test_a_row_of_the_summary_comes_back_from_json(outcome):
    """A row from a pytest-xdist worker is equal, without samples."""
    case = Case(implementation=IMPLEMENTATION, variant=VARIANT, dataset=DATASET)
    made = row(case, outcome, "local")
    assert Row.of_plain(json.loads(json.dumps(made.plain()))) == made
    assert "latencies_ns" not in made.plain()["outcome"] or not made.outcome.latencies_ns


def test_plain_data_is_what_json_can_hold():
    """Paths become texts, tuples lists, keys strings."""
    assert to_plain({1: (Path("/x"), None), "a": {"b": (1.5,)}}) == {
        "1": ["/x", None],
        "a": {"b": [1.5]},
    }
    assert to_plain(Limits) is Limits


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        (Arguments(), ""),
        (Arguments(kwargs={"n_trees": 10, "fast": True}), "n_trees=10,fast=true"),
        (Arguments(args=("@metric", 16, "cos")), "16,cos"),
        (Arguments(args=({"M": 4, "x": "y"}, [1, 2])), "M=4,x=y,[1,2]"),
        (Arguments(args=(None,), kwargs={"b": 0.5}), "null,b=0.5"),
    ],
)
def test_arguments_are_labelled_shortly(arguments, label):
    """Labels show the arguments without those that the dataset fills in."""
    assert arguments.label == label


def test_equal_arguments_have_equal_keys():
    """The order of names does not change the key."""
    one, other = Arguments(kwargs={"a": 1, "b": 2}), Arguments(kwargs={"b": 2, "a": 1})
    assert one.key == other.key
    assert one.key != Arguments(kwargs={"a": 1}).key
    assert Arguments(args=(1,)).key != Arguments(args=("1",)).key


def test_a_case_is_called_by_what_it_is():
    """A case's id has implementation, parameters, dataset and k."""
    case = Case(implementation=IMPLEMENTATION, variant=VARIANT, dataset=DATASET)
    assert case.label == "mine[n_trees=10,100]"
    assert case.id == "mine[n_trees=10,100]-d-8-euclidean-k10"
    bare = Variant(build=Arguments(), search=Arguments())
    plain = Case(implementation=IMPLEMENTATION, variant=bare, dataset=DATASET, k=3)
    assert plain.id == "mine-d-8-euclidean-k3"


def test_cases_of_one_build_have_one_key():
    """Search parameters and k do not change a build's key; file, arguments and dataset do."""
    case = Case(implementation=IMPLEMENTATION, variant=VARIANT, dataset=DATASET)
    other = Variant(build=VARIANT.build, search=Arguments(args=(200,)))
    same = Case(implementation=IMPLEMENTATION, variant=other, dataset=DATASET, k=3)
    assert case.build_key == same.build_key
    rebuilt = Variant(build=BUILD, search=VARIANT.search)
    different = Case(implementation=IMPLEMENTATION, variant=rebuilt, dataset=DATASET)
    assert case.build_key != different.build_key


def test_a_job_is_called_by_its_build():
    """A job's label is that of its build."""
    assert JOB.label == "mine[16,M=4,ef=[1,2],fast=true] on d-8-euclidean"
    bare = Job(dataset=DATASET, implementation=IMPLEMENTATION, build=Arguments(), searches=())
    assert bare.label == "mine on d-8-euclidean"


def test_values_cannot_be_changed_or_given_other_fields():
    """They are frozen and slotted."""
    with pytest.raises(AttributeError):
        DATASET.name = "y"
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(DATASET, "other", 1)
