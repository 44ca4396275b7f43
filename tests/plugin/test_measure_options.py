"""Each option of how to measure, seen in what is reported."""

from __future__ import annotations

from plugin_project import EXACT, Project, lines_with


def test_what_is_measured(project: Project) -> None:
    """k, queries, subset, threads and clock are those that were asked for."""
    result = project.bench(
        "--ann-k=4",
        "--ann-queries=5",
        "--ann-subset=100",
        "--ann-threads=2",
        "--ann-clock=parent",
        "--benchmark-json=out.json",
    )
    result.assert_outcomes(passed=2)
    title = "small-8-euclidean · 100 × 8 · euclidean · k=4 · 5 queries × 2 · 2 threads (single queries: 1 core) · local · "
    assert lines_with(result, title + "clock: parent")
    for saved in project.saved():
        info = saved["extra_info"]
        assert (info["k"], info["n_queries"], info["n_train"]) == (4, 5, 100)
        assert (info["clock"], info["environment"]["threads"]) == ("parent", 2)
        assert info["recall"] == info["recall_ids"] == 1.0  # against the truth of the cut
        assert saved["stats"]["rounds"] == 10
        assert saved["param"].endswith("-small-8-euclidean-subset100-k4")
        assert info["sampled_from"] == 300
    assert lines_with(result, "train is a random sample of the file's 300 rows")


def test_max_time(project: Project) -> None:
    """No further round begins after ``--ann-max-time``; finished rounds count."""
    result = project.bench("--ann-rounds=1000", "--ann-max-time=0.000001")
    result.assert_outcomes(passed=2)
    assert lines_with(result, " 20 queries × 1 · ")


def test_limits(project: Project) -> None:
    """An implementation over its time or memory fails, naming the option; the next one runs."""
    store = "        self.X = np.array(X)\n"
    hang = EXACT.replace(store, "        import threading; threading.Event().wait()\n")
    project.write("mine/exact_hangs.py", hang.replace("[0, 1]", "0"))
    eat = EXACT.replace(store, store + "        self.ballast = np.ones(10**8)\n")
    project.write("mine/exact_eats.py", eat.replace("[0, 1]", "0"))
    result = project.bench("--ann-timeout=5", "--ann-memory-mb=400")
    result.assert_outcomes(passed=2, failed=2)
    assert lines_with(result, "build took longer than 5 s (--ann-timeout sets the limit)")
    assert lines_with(result, "(--ann-memory-mb sets the limit)")
