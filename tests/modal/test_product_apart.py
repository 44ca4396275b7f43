"""Submissions on Modal: what their container holds, and how its answers are checked."""

import re
import shutil

import pytest
from modal_proto import api_pb2
from product import ROOT, benchmark_json, index, stored, write_dataset

LOOK_AROUND = """
from pathlib import Path
found = [str(p) for top in ("/data", "/tmp", "/root", "/home") for p in Path(top).rglob("*.hdf5")]
assert not found, found
shown = sorted(p.name for p in Path("/data").rglob("*")) if Path("/data").exists() else []
assert not [name for name in shown if not name.endswith(".rows")], shown
self.n = (self.X ** 2).sum(axis=1)
"""
FAST = "return np.argsort(self.n - 2 * (self.X @ v))[:k]"
LARGE = 2 * 2**20  # arguments above it travel as blobs

FORGED = """
    import os
    import modal._runtime.container_io_manager as manager
    class Trap:
        def __reduce__(self):
            return os.mkdir, ("{trap}",)
    manager.IOContext._determine_output_format = lambda self, given: 1
    return Trap()
"""


@pytest.fixture(scope="module")
def large(product):
    """Fresh queries of more than two mebibytes."""
    return write_dataset(product.folder / "large-1200-euclidean.hdf5", n_train=2400, dim=1200)


@pytest.fixture(scope="module")
def ran(product, large):
    return product.pytest(
        product.submission("curious.py", index(fit=LOOK_AROUND, query=FAST)),
        f"--dataset={large}",
        "--ann-fresh-queries",
        "--benchmark-json=out.json",
    )


def test_a_submission_is_scored_by_the_truth_that_its_container_does_not_have(ran, product):
    assert ran.counts() == {"passed": 1}, ran.text
    (told,) = (found["extra_info"] for found in benchmark_json(product.folder / "out.json"))
    assert told["recall"] == 1.0, "LOOK_AROUND found nothing amiss"
    assert (told["n_train"], told["n_queries"]) == (1920, 240)
    assert told["environment"]["fresh_queries"]


def test_its_container_is_restricted_and_sees_one_directory(ran, product):
    definition = product.plane.function("ask_submission").definition
    (mount,) = definition.volume_mounts
    assert (mount.mount_path, mount.sub_path, mount.read_only) == ("/data", "train", True)
    assert definition.untrusted
    assert definition.block_network
    assert definition.single_use_containers
    assert definition.resources.memory_mb == definition.resources.memory_mb_max == 16384
    assert list(definition.supported_output_formats) == [api_pb2.DATA_FORMAT_CBOR]
    assert not product.plane.function("referee").definition.untrusted


def test_the_mounted_directory_holds_only_the_vectors(ran, product):
    """The mounted directory of the volume holds the training vectors and no truth."""
    below = [n for n in stored(product, "ann-datasets") if n.startswith("train/")]
    assert len(below) == 1
    assert re.fullmatch(r"train/large-1200-euclidean-[0-9a-f]{16}\.rows", below[0])


def test_the_questions_come_as_arguments_however_large(ran, product):
    """Queries are passed as arguments, also above the size at which Modal stores them as a blob."""
    plane = product.plane
    (call,) = [
        call for call in plane.registry.calls.values() if call.function.name == "ask_submission"
    ]
    (given,) = call.inputs
    assert plane.blobs.path(given.payload.args_blob_id).stat().st_size > LARGE


def test_what_such_a_container_returns_is_never_unpickled(product, tmp_path):
    """A container that a submission took over returns a pickle: it is refused, and no code in it runs."""
    copy, trap = tmp_path / "pytest_annmodal", tmp_path / "trap"
    shutil.copytree(ROOT / copy.name, copy, ignore=shutil.ignore_patterns("__pycache__"))
    far_side = copy / "executors" / "modal" / "restricted.py"
    text = far_side.read_text()
    start = "    from pytest_annmodal.jobs.halves import halves\n"
    assert start in text
    far_side.write_text(text.replace(start, FORGED.format(trap=trap) + start))
    done = product.pytest(
        product.submission("mine.py", index()),
        f"--dataset={product.tiny}",
        PYTHONPATH=str(tmp_path),
    )
    sent = [
        output.data_format
        for record in product.plane.calls_of("FunctionPutOutputs")
        for output in record.request.outputs
        if record.container in {c.task_id for c in product.containers("ask_submission")}
    ]
    assert sent == [api_pb2.DATA_FORMAT_PICKLE] * 2
    assert done.counts() == {"error": 1}, done.text
    assert "something other than plain bytes" in done.words()
    assert not trap.exists()


def test_a_comparison_with_a_baseline_comes_back_too(product):
    """The ratio to a baseline is computed in the container and returned with the measurement."""
    done = product.pytest(
        product.submission("mine.py", index()),
        f"--dataset={product.tiny}",
        "--ann-fresh-queries",
        "--ann-baseline=bruteforce",
        "--ann-sessions=1",
    )
    assert done.counts() == {"passed": 1}, done.text
    assert "× bruteforce" in done.text
