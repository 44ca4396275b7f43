"""Sleeps, stops or spins without end in each phase, and ignores signals."""

from concurrent.futures import ThreadPoolExecutor

from jobs import make_job, write
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
    """Each phase ends at its limit; a hang after the last phase costs nothing.

    All hangs but the query's wait side by side. While the grader's clock waits for a query it
    spins, which would hold up the other threads.
    """
    monkeypatch.setattr("pytest_annmodal.sandbox.worker_process.GRACE_S", 1.0)

    def outcome_of(method, limit_s=6.0):  # six start at once
        text = index(f"def {method}:\n    {HANGS[method][0]}")
        source = write(tmp_path / f"mine{list(HANGS).index(method)}.py", text)
        job = make_job(
            dataset,
            source,
            settings=[1],
            clock="parent",
            phase_timeout_s=limit_s,
            isolation="strict",
            implementation={"trusted": False},
        )
        return run_job(job, dataset)[0]

    spinning = "query(self, v, k)"
    waiting = [method for method in HANGS if method != spinning]
    with ThreadPoolExecutor(len(waiting)) as threads:
        outcomes = dict(zip(waiting, threads.map(outcome_of, waiting), strict=True))
    outcomes[spinning] = outcome_of(spinning, limit_s=2.0)
    last = outcomes.pop("done(self)")
    assert getattr(last, "recall", last) == 1
    for method, outcome in outcomes.items():
        assert (failed(outcome).kind, outcome.phase) == ("timeout", HANGS[method][1])
    attacked.append({"isolation": "strict"})
