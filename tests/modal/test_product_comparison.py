"""`pytest --modal --ann-baseline`: the baseline runs in the submission's own container."""

from product import benchmark_json, index

BASELINE = "--ann-baseline=bruteforce"


def test_a_ratio_comes_back_from_one_container(product):
    """Submission and baseline run in one container; the baseline comes with the package."""
    ran = product.pytest(
        product.submission("mine.py", index("numpy")),
        f"--dataset={product.tiny}",
        BASELINE,
        "--ann-sessions=1",
        "--benchmark-json=out.json",
    )
    assert ran.counts() == {"passed": 1}, ran.text
    assert "× bruteforce" in ran.words()
    (saved,) = benchmark_json(product.folder / "out.json")
    comparison = saved["extra_info"]["comparison"]
    assert comparison["ratio"] > 0
    assert comparison["recall"] == comparison["baseline_recall"] == 1
    assert len(product.containers("ask_submission")) == 1


def test_a_baseline_of_ones_own_is_refused_before_anything_starts(product):
    """A baseline that is not built in is refused, since only the submission's files are shipped."""
    product.write("own/near.py", index("numpy"))
    ran = product.pytest(
        "--ann-implementations=own",
        product.submission("mine.py", index("numpy")),
        f"--dataset={product.tiny}",
        "--ann-baseline=near",
    )
    assert ran.code == 4, ran.text
    assert "with --modal it must be a built-in" in ran.words()
    assert not product.containers()


def test_a_gate_runs_in_the_container_and_its_verdicts_come_back(product):
    """A gate measures both sides and the control in the container; the client decides over all jobs."""
    ran = product.pytest(
        "--impl=bruteforce",
        f"--dataset={product.tiny}",
        BASELINE,
        "--ann-gate=on",
        "--ann-sessions=5",
        "--ann-max-slowdown=0.9",
        "--benchmark-json=out.json",
    )
    assert ran.counts() == {"passed": 1}, ran.text
    assert "proved by identical answers to all" in ran.words()
    assert "this compares a version with itself (an A/A test)" in ran.words()
    (saved,) = benchmark_json(product.folder / "out.json")
    found = {one["figure"]: one for one in saved["extra_info"]["gate"]["findings"]}
    assert found["recall"]["word"] == "no change"
    assert len(found["speed"]["ratios"]) == 5
    assert len(product.containers("run_benchmark")) == 1
