"""A job with a baseline, run with real workers."""

from __future__ import annotations

import dataclasses
import re

import pytest
from jobs import EXACT, failed, index, make_job, measured, nothing_left_behind, write

from pytest_annmodal.comparison import interleaving
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.execution import run_job
from pytest_annmodal.manifests import builtin_paths, manifest
from pytest_annmodal.model import Arguments, Baseline, Implementation, Job, from_plain, to_plain
from pytest_annmodal.outcome import outcome_from_plain, outcome_to_plain
from pytest_annmodal.session.baseline import choose
from pytest_annmodal.settings.config import OPTIONS, Settings

BRUTEFORCE = next(item for item in manifest.builtin() if item.name == "bruteforce")


def baseline(implementation=BRUTEFORCE, *, sessions=1):
    return Baseline(
        implementation=dataclasses.replace(implementation, variants=()),
        build=Arguments(),
        searches=(Arguments(),),
        max_sessions=sessions,
        difference=0.05,
    )


@pytest.fixture
def compared(small_dataset, tmp_path):
    """The outcomes of a job with this text and baseline; checks that no process is left."""

    def compared(text, against=None, *, dataset=None, trusted=True, **options):
        path = dataset or small_dataset(n_train=400, n_queries=60)
        clock = "worker" if trusted else "parent"
        job = make_job(
            path,
            write(tmp_path / "mine.py", text),
            clock=clock,
            isolation="process",
            implementation={"trusted": trusted},
            **options,
        )
        job = dataclasses.replace(job, baseline=against or baseline())
        assert from_plain(Job, to_plain(job)) == job
        with nothing_left_behind():
            return run_job(job, path)

    return compared


def test_one_session_gives_a_ratio_and_no_verdict(compared):
    """One session gives a ratio of speed without a verdict, and survives as plain data."""
    (outcome,) = compared(EXACT)
    found = measured(outcome).comparison
    assert found.baseline == "bruteforce"
    assert found.ratio > 0
    assert (found.verdict, found.low, found.supported_ratio) == (None, None, None)
    assert (found.recall, found.baseline_recall, found.equal_recall) == (1, 1, True)
    assert len(found.ratios) == len(found.control_ratios) == 1
    assert outcome_from_plain(outcome_to_plain(outcome)) == outcome


def test_settings_around_a_recall_are_raced_each_by_itself(compared, tmp_path):
    """The ratio at recall 0.7 is interpolated from settings with recall 0.5 and 0.9."""
    text = index("""
        def query(self, v, k):
            time.sleep(0.001 if self.setting == 1 else 0)
            order = np.argsort(((self.X - v) ** 2).sum(axis=1), kind="stable")
            return np.concatenate([order[: k - self.setting], order[len(order) - self.setting :]])
    """)
    path = write(tmp_path / "wrong.py", text)
    wrong = Implementation(name="wrong", path=str(path), class_name="Index", metrics=("euclidean",))
    around = dataclasses.replace(
        baseline(wrong), searches=tuple(Arguments(args=(missed,)) for missed in (1, 5))
    )
    found = measured(compared(text, around, settings=(3,))[0]).comparison
    assert found.baseline_settings == ("5", "1")
    assert (found.recall, found.baseline_recall) == (pytest.approx(0.7), pytest.approx(0.7))
    assert found.equal_recall
    assert found.ratio > 0


def test_too_few_queries_for_all_settings_are_noted(compared, small_dataset):
    """A submission's settings share the queries, since each is asked once; a note says if they are few."""
    dataset = small_dataset("few-8-euclidean", n_train=400, n_queries=2)
    outcomes = compared(EXACT, dataset=dataset, trusted=False, settings=(1, 2, 3))
    for failure in map(failed, outcomes):
        assert failure.blame == "infrastructure"
        assert "2 queries are too few to compare 3 settings" in failure.message


def test_a_submission_that_waits_is_not_faster(compared):
    """A submission that waits is not called faster in five sessions by the parent's clock."""
    slow = index("def query(self, v, k): time.sleep(0.0005); return self.near(v, k)")
    (outcome,) = compared(slow, baseline(sessions=5), trusted=False, fresh_seed=3, n_queries=40)
    found = measured(outcome).comparison
    assert found.sessions == 5
    assert found.ratio < 1
    assert found.verdict in {"slower", "cannot tell"}  # the latter where the control is off


@pytest.mark.parametrize("trusted", [True, False])
def test_the_baseline_is_shut_in_as_the_candidate_is(tmp_path, small_dataset, trusted):
    """The baseline is isolated like the candidate, since a sandbox can change speed by 5 %."""
    mine = write(tmp_path / "mine.py", EXACT)
    job = make_job(small_dataset(), mine, implementation={"trusted": trusted})
    theirs = interleaving.baseline_job(job, baseline())
    assert theirs.implementation.trusted == trusted
    assert theirs.limits == job.limits


def test_what_a_submission_does_wrong_is_its_own_fault(compared, tmp_path):
    """Invalid answers in the comparison are the submission's fault, after a good measurement."""
    text = index(f"""
        def query(self, v, k):
            import pathlib
            mark = pathlib.Path({str(tmp_path / "mark")!r})
            self.turn = getattr(self, "turn", 0) + 1
            if self.turn == 1:
                self.late = mark.exists()
                mark.touch()
            return [0] * k if self.late else self.near(v, k)
    """)
    failure = failed(compared(text)[0])
    assert (failure.kind, failure.phase, failure.blame) == (
        "invalid-result",
        "comparison",
        "submission",
    )


def test_a_failing_baseline_is_an_infrastructure_failure(compared, tmp_path):
    """A failing baseline is an infrastructure failure that names it."""
    path = write(tmp_path / "broken.py", index("def query(self, v, k): raise RuntimeError('no')"))
    broken = Implementation(
        name="broken", path=str(path), class_name="Index", metrics=("euclidean",)
    )
    failure = failed(compared(EXACT, baseline(broken))[0])
    assert (failure.kind, failure.blame) == ("infrastructure", "infrastructure")
    assert "the baseline broken failed" in failure.message


def test_a_metric_that_the_baseline_does_not_serve_is_noted(compared, small_dataset):
    euclidean_only = dataclasses.replace(BRUTEFORCE, metrics=("euclidean",))
    dataset = small_dataset("small-8-angular", metric="angular")
    text = index(
        "def near(self, v, k): return np.argsort(-(self.X @ v) / np.linalg.norm(self.X, axis=1))[:k]"
    )
    (outcome,) = compared(text, baseline(euclidean_only), dataset=dataset)
    assert measured(outcome).comparison is None
    assert "not compared: bruteforce does not serve angular" in outcome.notes


class TestChoosing:
    """``--ann-baseline``"""

    offered = manifest.builtin()

    def test_a_name_is_its_first_build_with_all_searches(self):
        found = choose(Settings(baseline="annoy"), self.offered)
        assert found.label == "annoy[n_trees=20]"
        assert len(found.searches) > 1
        assert from_plain(Baseline, to_plain(found)) == found
        assert builtin_paths.located(found.implementation).path.endswith("implementations/annoy.py")

    @pytest.mark.parametrize("text", ["annoy[n_trees=20,search_k=400]", "annoy[search_k=4*]"])
    def test_settings_are_chosen_as_by_impl(self, text):
        """A baseline's settings are chosen as by ``--impl``: by a whole label or a part."""
        found = choose(Settings(baseline=text), self.offered)
        assert [search.label for search in found.searches] == ["search_k=400"]

    def test_the_example_of_the_help_exists(self):
        """Each example of a setting in the help matches a built-in."""
        examples = re.findall(r"'(\S+\[\S+\])'", " ".join(option.help for option in OPTIONS))
        assert examples
        for example in examples:
            assert choose(Settings(baseline=example), self.offered)

    @pytest.mark.parametrize(
        ("name", "words"),
        [("anoy", "annoy"), ("annoy[n_trees=3]", "n_trees is 20"), ("untrusted", "submission")],
    )
    def test_what_cannot_be_one_is_refused(self, name, words):
        own = Implementation(name="untrusted", path="x.py", class_name="X", trusted=False)
        with pytest.raises(ConfigurationError, match=words):
            choose(Settings(baseline=name), [*self.offered, own])
