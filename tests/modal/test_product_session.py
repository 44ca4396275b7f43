"""One `pytest --modal` session, checked at the client and in the containers."""

import re
from pathlib import Path

import numpy as np
import pytest
from product import benchmark_json, index, stored

from pytest_annmodal.results.reading import read_results

LOOK_AROUND = """
import importlib.util, os, sys
absent = [m for m in ("sklearn", "pytest", "product", "test_it") if importlib.util.find_spec(m)]
assert not absent, absent
assert "sortedcontainers" not in sys.modules and importlib.util.find_spec("sortedcontainers")
assert not [name for name in os.environ if "TOKEN" in name or name == "SECRET_OF_THE_USER"]
print("looked around")
"""

WEIGHTS_BYTES = 3 * 2**20
WEIGHTS = f"""
from pathlib import Path
assert Path(near.__file__).with_name("weights.bin").stat().st_size == {WEIGHTS_BYTES}
"""


@pytest.fixture(scope="module")
def ran(product):
    """A session with two implementations of one image, a third of another image, two submissions."""
    product.write("mine/alone.py", index("numpy>=1.26"))
    product.write("mine/clean.py", index("numpy", "sortedcontainers", fit=LOOK_AROUND))
    product.write("mine/twin.py", index("numpy"))
    product.write("folder/near.py", "import numpy as np\ndef name():\n    return 'near'\n")
    product.write(
        "folder/index.py",
        index("numpy", fit="import near\nassert near.name() == 'near'" + WEIGHTS),
    )
    # Above 2 MiB the arguments of a call travel as a file.
    (product.folder / "folder" / "weights.bin").write_bytes(b"w" * WEIGHTS_BYTES)
    raising = index("numpy", query="raise RuntimeError('no answer for you')")
    return product.pytest(
        "--ann-implementations=mine",
        "--impl=alone",
        "--impl=clean",
        "--impl=twin",
        "--submission=folder",
        product.submission("raising.py", raising),
        f"--dataset={product.tiny}",
        "--ann-rounds=2",
        "--ann-rate=50,100",
        "--ann-concurrency=1",
        "--ann-load-time=0.1",
        "-v",
        "--benchmark-json=out.json",
        "--junitxml=out.xml",
        SECRET_OF_THE_USER="x",
    )


def test_every_outcome_is_kept(ran, product):
    """The store has the measurements of trusted code and submissions, and the failure."""
    assert "5 results were kept in .annmodal/results" in ran.text
    found = read_results([product.folder])
    assert [case.implementation for case in found.cases if case.failure] == ["raising"]
    trusted = {case.implementation: case.trusted for case in found.cases}
    assert trusted == {
        **dict.fromkeys(("alone", "clean", "twin"), True),
        **dict.fromkeys(("folder", "raising"), False),
    }
    for case in found.cases:
        assert (case.where, len(case.dataset_sha256)) == ("modal", 64)
        assert (found.samples(case) is None) == (case.failure is not None)


def test_levels_of_load_are_run_in_the_containers(ran, product):
    """Options for load work as they do locally; the referee scores a submission's answers."""
    assert ran.code == 1
    found = {case.implementation: case.load for case in read_results([product.folder]).cases}
    for name in ("alone", "clean", "twin", "folder"):
        levels = found[name].levels
        assert [level.offered_qps for level in levels if level.kind == "open"] == [50, 100]
        assert {level.recall for level in levels} == {1.0}
        assert [level.clients for level in levels if level.kind == "closed"] == (
            [] if name == "folder" else [1]
        )
    assert "a submission could change" in found["folder"].notes[0]


def test_every_outcome_reaches_its_test_in_order(ran):
    assert ran.counts() == {"passed": 4, "failed": 1}, ran.text
    assert ran.code == 1
    names = re.findall(r"test_search\[(\w+)-tiny", ran.text[: ran.text.index("= FAILURES")])
    assert list(dict.fromkeys(names)) == ["alone", "clean", "twin", "folder", "raising"]


def test_the_plan_heads_the_run(ran):
    """The session begins with the number of containers: one per job and one referee."""
    assert "Modal: 6 containers of 2 cores and 16 GiB, at most 60 min each" in ran.text
    assert ran.text.index("Modal: 6 containers") < ran.text.index("Uploading")


def test_a_session_is_one_app_and_each_job_one_container(ran, product):
    plane = product.plane
    assert len(plane.calls_of("AppCreate")) == 1
    assert len(product.containers("download_dataset")) == 1
    assert len(product.containers("run_benchmark")) == 3
    assert len(product.containers("ask_submission")) == 2
    assert len(product.containers("referee")) == 1
    assert plane.no_container_is_left()
    assert len(plane.calls_of("AppClientDisconnect")) == 1


@pytest.mark.parametrize(("kind", "n_jobs"), [("run_benchmark", 3), ("ask_submission", 2)])
def test_all_jobs_are_started_before_the_first_has_an_answer(ran, product, kind, n_jobs):
    """All jobs start at once; submissions as soon as their queries are published."""
    plane = product.plane
    runners = {f.id for f in plane.registry.functions.values() if f.name.startswith(kind)}
    calls = [c for c in plane.registry.calls.values() if c.function.id in runners]
    answers = [
        record.at
        for record in plane.calls_of("FunctionPutOutputs")
        if record.container in {c.task_id for c in product.containers(kind)}
    ]
    started = [r.at for r in plane.calls_of("FunctionMap") if r.request.function_id in runners]
    assert len(calls) == len(started) == n_jobs
    assert max(started) < min(answers)


def test_jobs_see_the_volume_read_only_and_the_download_may_write(ran, product):
    def mount(name):
        return product.plane.function(name).definition.volume_mounts[0]

    assert mount("run_benchmark").read_only
    assert mount("run_benchmark").mount_path == "/data"
    assert not mount("download_dataset").read_only
    assert product.plane.function("download_dataset").max_containers == 1


def test_containers_have_what_the_settings_say_and_no_network(ran, product):
    for name in ("run_benchmark", "run_benchmark_1", "ask_submission_2"):
        definition = product.plane.function(name).definition
        assert definition.resources.milli_cpu == definition.resources.milli_cpu_max == 2000
        assert definition.resources.memory_mb == definition.resources.memory_mb_max == 16384
        assert definition.timeout_secs == 3600
        assert definition.single_use_containers
        assert definition.block_network
    assert not product.plane.function("download_dataset").definition.block_network


def test_equal_dependencies_share_one_image_with_pinned_versions(ran, product):
    plane = product.plane
    runners = [f for f in plane.registry.functions.values() if f.name.startswith(("run_", "ask_"))]
    images = {f.definition.image_id for f in runners}
    assert len(runners) == 3
    assert len(images) == 2
    packages = [set(plane.images.packages(image)) for image in images]
    assert all(f"numpy=={np.__version__}" in found for found in packages)
    assert sum(any(p.startswith("sortedcontainers==") for p in f) for f in packages) == 1
    assert {image.builds for image in plane.images.all()} == {1}


def test_nothing_of_a_submission_is_shipped_but_by_its_call(ran, product):
    mounts = product.plane.registry.mounts.values()
    names = [Path(file.filename) for files in mounts for file in files]
    assert names
    assert {path.parts[:3] for path in names} == {("/", "root", "pytest_annmodal")}


def test_the_container_imports_what_it_was_shipped_and_nothing_else(ran, product):
    (clean,) = [b for b in benchmark_json(product.folder / "out.json") if "clean" in b["name"]]
    assert clean["extra_info"]["recall"] == 1.0, "LOOK_AROUND found nothing amiss"


def test_the_containers_own_versions_are_in_the_result(ran, product):
    (first, *_others) = benchmark_json(product.folder / "out.json")
    told = first["extra_info"]
    assert told["where"] == "modal"
    versions = told["environment"]["versions"]
    assert versions["python"]
    assert versions["numpy"]


def test_progress_is_one_plain_line_per_phase(ran):
    for phase in ("building", "queries, setting 1 of 1", "done"):
        assert f"  alone on tiny-8-euclidean: {phase}" in ran.lines
    assert "\x1b" not in ran.text


def test_the_report_of_a_failed_test_has_the_jobs_log(ran, product):
    report = ran.text[ran.text.index("= FAILURES") :]
    assert "no answer for you" in report
    assert "container's log" in report
    assert "Volume 'ann-datasets' is mounted at /data" in report
    assert "container's log" not in ran.text[: ran.text.index("= FAILURES")]


def test_the_summary_says_where_it_was_measured(ran):
    assert "· modal · clock: " in ran.text


def test_a_users_own_file_goes_into_the_volume_by_its_content(ran, product):
    kept = [name for name in stored(product, "ann-datasets") if name.endswith(".hdf5")]
    assert len(kept) == 1
    assert re.fullmatch(r"uploads/[0-9a-f]{16}/tiny-8-euclidean\.hdf5", kept[0])


def test_what_failed_is_run_again_alone_from_cached_images_and_files(ran, product):
    builds = len(product.plane.calls_of("ImageJoinStreaming"))
    done = product.pytest(
        "--ann-implementations=mine",
        "--impl=alone",
        f"--submission={product.folder / 'raising.py'}",
        f"--dataset={product.tiny}",
        "--ann-rounds=1",
        "--lf",
    )
    assert done.counts()["failed"] == 1, done.text
    assert not product.containers("run_benchmark")
    assert len(product.containers("ask_submission")) == 1
    assert len(product.plane.calls_of("ImageJoinStreaming")) == builds
    assert "Uploading" not in done.text


def test_a_file_of_vectors_is_imported_here_and_uploaded(ran, product):
    """A file in another format is imported locally; the volume gets the HDF5 file."""
    rows = np.random.default_rng(0).standard_normal((120, 8)).astype("f4")
    np.save(product.folder / "vectors.npy", rows)
    done = product.pytest(
        "--ann-implementations=mine", "--impl=alone", "--dataset=vectors.npy", "--ann-rounds=1"
    )
    assert done.code == 0, done.text
    assert "Held out 12 rows, drawn at random" in done.text
    assert "📤 Uploading" in done.text
    (kept,) = [name for name in stored(product, "ann-datasets") if "/vectors-" in name]
    assert re.fullmatch(r"uploads/[0-9a-f]{16}/vectors-[0-9a-f]{8}\.hdf5", kept)
