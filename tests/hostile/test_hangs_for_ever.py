"""Sleeps, stops or spins without end in each phase, and ignores signals."""

from concurrent.futures import ThreadPoolExecutor

from witnesses import failed, index

from pytest_annmodal.execution import run_job

HANGS = {
    "__init__(self, metric)": ("threading.Event().wait()", "start"),
    "fit(self, X)": ("os.kill(os.getpid(), signal.SIGSTOP)", "build"),
    "get_memory_usage(self)": ("threading.Event().wait()", "build"),
    "set_query_arguments(self, setting)": ("threading.Event().wait()", "search"),
    "query(self, v, k)": (
        "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; time.sleep(600)",
        "search",
    ),
    "batch_query(self, X, k)": ("os.execv('/bin/sleep', ['sleep', '600'])", "batch"),
    "done(self)": ("threading.Event().wait()", None),
}


def test_is_ended_in_time(dataset, tmp_path, strict, monkeypatch, attacked):
    """Each phase ends at its limit; a hang after the last phase costs nothing."""
    from jobs import make_job, write

    monkeypatch.setattr("pytest_annmodal.sandbox.worker_process.GRACE_S", 1.0)

    def outcome_of(method):
        text = index(f"def {method}:\n    {HANGS[method][0]}")
        source = write(tmp_path / f"mine{list(HANGS).index(method)}.py", text)
        job = make_job(
            dataset,
            source,
            settings=[1],
            clock="parent",
            phase_timeout_s=15.0,  # seven start at once
            isolation="strict",
            implementation={"trusted": False},
        )
        return run_job(job, dataset)[0]

    with ThreadPoolExecutor(len(HANGS)) as threads:
        outcomes = dict(zip(HANGS, threads.map(outcome_of, HANGS), strict=True))
    last = outcomes.pop("done(self)")
    assert getattr(last, "recall", last) == 1
    for method, outcome in outcomes.items():
        assert (failed(outcome).kind, outcome.phase) == ("timeout", HANGS[method][1])
    attacked.append({"isolation": "strict"})
