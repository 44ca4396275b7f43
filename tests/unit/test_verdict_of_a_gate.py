"""Verdicts of a gate from the results of its sessions, and their texts."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from session_data import dataset, implementation, measurement

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.finding import CANNOT_TELL, NO_CHANGE, NOT_GATED, WORSE, Finding, Gated
from pytest_annmodal.gate import conditions, race, verdict
from pytest_annmodal.gate.points import NoPoints, Points, choose, rate_at
from pytest_annmodal.gate.statistics import of_spread
from pytest_annmodal.gate.verdict import Series
from pytest_annmodal.jobs.quota import Throttling
from pytest_annmodal.model import Arguments, Gate, Search
from pytest_annmodal.outcome import outcome_from_plain, outcome_to_plain
from pytest_annmodal.reports import gates
from pytest_annmodal.scoring.operating_points import Level, logit
from pytest_annmodal.session import gating
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.tolerances import GATED, TOLERANCES

NOISE = (0.001, -0.002, 0.0, 0.002, -0.001)


def series(figure="speed", ratio=1.0, control=1.0, noise=NOISE):
    """Five sessions with this ratio and some noise."""
    made = Series(figure=figure, at="at recall 0.95")
    for off, other in zip(noise, reversed(noise), strict=True):
        made.add([1e6 * ratio * math.exp(off), 1e6, 1e6 * control * math.exp(other)])
    return made


def found(figure="speed", ratio=1.0, bound=0.03, **more) -> Finding:
    return verdict.of_series(series(figure, ratio, **more), n_looks=3, bound=bound)


class TestVerdicts:
    def test_slower_than_is_allowed_is_worse_and_says_by_how_much(self):
        finding = found(ratio=0.959)
        assert finding.word == WORSE
        said = finding.says("hnswlib@0.8.0")
        assert said.startswith("4.1 % slower than hnswlib@0.8.0 at recall 0.95 (99 %: 3.")
        assert finding.sessions == 5
        assert finding.ratios == pytest.approx([0.959] * 5, abs=0.01)

    @pytest.mark.parametrize(
        ("figure", "ratio", "word"),
        [
            ("speed", 1.08, "better"),
            ("speed", 0.98, NO_CHANGE),
            ("build", 1.2, WORSE),
            ("build", 0.8, "better"),
            ("index", 1.5, WORSE),
            ("index", 1.01, NO_CHANGE),
        ],
    )
    def test_more_is_better_of_speed_and_worse_of_cost(self, figure, ratio, word):
        assert (
            found(
                figure, ratio, TOLERANCES[{"build": "max_build_rise"}.get(figure, "max_slowdown")]
            ).word
            == word
        )

    def test_a_control_that_is_not_equal_takes_every_verdict(self):
        finding = found(ratio=0.8, control=0.9)
        assert finding.word == CANNOT_TELL
        assert finding.why.startswith(
            "even the baseline and its own copy (the control) may differ by more than 3.0 %: "
            "-10.0 % (99 %: "
        )

    def test_a_wide_interval_cannot_tell_and_names_the_bound(self):
        finding = found(ratio=0.99, noise=(0.05, -0.04, 0.03, -0.05, 0.01), bound=0.2)
        assert finding.word == NO_CHANGE
        unsure = verdict.judged(dataclasses.replace(finding, control=None), 0.03)
        assert unsure.word == CANNOT_TELL
        assert unsure.why.startswith("not slower by more than 1")
        advice = list(verdict.advice([unsure]))
        assert advice[0].startswith("measure on a quieter machine")
        assert advice[1:] == []

    def test_more_sessions_are_advised_where_fewer_were_allowed(self):
        """Not where a gate ended early by itself: speed was decided."""
        unsure = dataclasses.replace(found(), word=CANNOT_TELL, sessions=8)
        (quieter,) = verdict.advice([unsure], max_sessions=11)
        assert quieter.startswith("measure on a quieter machine")
        assert list(verdict.advice([unsure], max_sessions=8)) == [
            quieter,
            "allow more sessions (--ann-sessions 11)",
        ]

    def test_a_figure_without_a_bound_is_shown_and_not_gated(self):
        assert found("p99", 2.0, bound=None).word == NOT_GATED
        assert verdict.judged(found("p99", 2.0, bound=None), 0.5).word == WORSE

    def test_a_build_that_takes_no_time_is_not_gated(self):
        made = Series(figure="build")
        for _ in range(5):
            made.add([0.003, 0.001, 0.001])
        finding = verdict.of_series(made, n_looks=3, bound=0.1)
        assert (finding.word, finding.why) == (
            NOT_GATED,
            "builds of less than 50 ms are not gated",
        )

    def test_sizes_that_an_allocator_rounds_are_equal(self):
        made = Series(figure="index")
        for _ in range(5):
            made.add([1_100_000, 1_000_000, 1_000_000])
        assert verdict.of_series(made, n_looks=3, bound=0.02).word == NO_CHANGE

    def test_recall_is_a_difference_and_says_what_so_many_queries_can_show(self):
        lower = verdict.of_recalls(
            of_spread(-0.004, 0.0003, 900), [-0.004], at="at ef=50", bound=0.002
        )
        assert lower.word == WORSE
        assert lower.says("base").startswith("recall 0.0040 lower than base at ef=50 (99 %: 0.0032")
        unsure = verdict.of_recalls(of_spread(0.0, 0.003, 900), [0.0], at="", bound=0.002)
        assert unsure.word == CANNOT_TELL
        assert "with these queries only a drop of 0.0077 or more can be seen" in unsure.why


GATE = Gate(at_recall=0.95, asked_for=False, tolerances=TOLERANCES)


def search(ef: int) -> Search:
    return Search(case_id=f"c{ef}", arguments=Arguments(kwargs={"ef": ef}), k=10, rounds=1)


def side(*recalls: float):
    """Searches with these recalls; a higher recall is slower."""
    return [
        (search(n), Level(recall=recall, qps=1000.0 / (n + 1))) for n, recall in enumerate(recalls)
    ]


def settings_of(made):
    return [(one.arguments, level) for one, level in made]


class TestPoints:
    def test_each_side_has_its_own_settings_around_the_recall(self):
        points = choose(
            side(0.8, 0.93, 0.97), settings_of(side(0.9, 0.96)), GATE, name="base", n_answers=1000
        )
        assert isinstance(points, Points)
        assert [(one.case_id, other.label) for one, other in points.pairs] == [
            ("c1", "ef=0"),
            ("c2", "ef=1"),
        ]
        assert (points.recall, points.words, points.search.case_id) == (
            0.95,
            "at recall 0.95",
            "c2",
        )

    def test_without_a_recall_equal_settings_are_compared(self):
        points = choose(
            side(0.99, 1.0), settings_of(side(0.98, 1.0)), GATE, name="b", n_answers=100
        )
        assert isinstance(points, Points)
        assert (points.recall, points.words) == (None, "at ef=0")

    def test_a_baseline_that_never_reaches_the_recall_is_named(self):
        asked = dataclasses.replace(GATE, asked_for=True)
        points = choose(
            side(0.9, 0.97), settings_of(side(0.7, 0.81)), asked, name="old", n_answers=100
        )
        assert points == NoPoints(why="old never reaches recall 0.95: its settings reach 0.8100")

    def test_speed_is_a_line_over_logits_that_goes_a_little_beyond_its_ends(self):
        low, high = logit(0.9, 1000), logit(0.98, 1000)
        middle = 1 / (1 + math.exp(-(low + high) / 2))
        rates = [(0.9, 3.0), (0.98, 1.0)]
        assert rate_at(rates, middle, 1000) == pytest.approx(2.0)
        assert 3.0 < rate_at(rates, 0.89, 1000) < 3.3
        assert rate_at(rates, 0.1, 1000) == pytest.approx(4.0)
        assert rate_at([(0.9, 3.0)], None, 1000) == 3.0


def outcome_with(*findings: Finding, case_id: str = "c"):
    gated = Gated(baseline="base", findings=findings, notes=("a note",))
    return dataclasses.replace(measurement(), case_id=case_id, gate=gated)


class TestTogether:
    def test_what_was_found_survives_as_plain_data(self):
        outcome = outcome_with(found(ratio=0.9))
        assert outcome_from_plain(outcome_to_plain(outcome)) == outcome

    def test_evidence_must_be_stronger_where_more_is_gated(self):
        """p = 0.004 is enough for one figure, not for three."""
        finding = dataclasses.replace(found(ratio=0.95), p=0.004)
        chance = dataclasses.replace(found(), p=0.6)
        alone = gating.Gating(Settings())._judged([outcome_with(finding)])
        assert [one.word for one in gating.findings_of(alone[0])] == [WORSE]
        three = [outcome_with(finding), outcome_with(chance), outcome_with(chance)]
        first, *_ = gating.Gating(Settings())._judged(three)
        (judged,) = gating.findings_of(first)
        assert (judged.word, judged.p) == (CANNOT_TELL, pytest.approx(0.012))

    def test_a_marker_allows_more_than_the_options_do(self):
        settings = Settings(gate="on", baseline="base")
        outcome = outcome_with(found(ratio=0.959))
        assert gating.failures(outcome, settings) == [found(ratio=0.959).says("base")]
        allowed = gating.tolerances_of(settings, {"max_slowdown": 0.1})
        assert gating.failures(gating.judged_by(outcome, allowed, 11), settings) == []

    def test_strict_fails_what_one_cannot_tell(self):
        outcome = outcome_with(found(ratio=0.8, control=0.9))
        assert gating.failures(outcome, Settings(gate="on", baseline="base")) == []
        (line,) = gating.failures(outcome, Settings(gate="strict", baseline="base"))
        assert line.startswith("cannot tell whether speed at recall 0.95 is worse than base: ")

    def test_a_submission_is_refused(self, make_job_of):
        with pytest.raises(ConfigurationError, match="could remember them"):
            gating.Gating(Settings(gate="on", baseline="a")).prepared(
                [make_job_of(trusted=False)], remote=False
            )


@pytest.fixture
def make_job_of():
    from pytest_annmodal.model import Job

    def make(**more) -> Job:
        return Job(
            dataset=dataset(),
            implementation=implementation(**more),
            build=Arguments(),
            searches=(search(1),),
        )

    return make


class TestBlocks:
    proof = staticmethod(lambda at: verdict.of_identical(1000, at=at, bound=0.002))

    def block(self):
        gated = Gated(
            baseline="base",
            findings=(self.proof("at ef=10"), self.proof("at ef=50"), found(ratio=0.9)),
            notes=("other processes used 1.0 of 2 cores meanwhile",),
            advice=("wait",),
        )
        (block,) = gates.blocks([("mine on d, k=10", gated)])
        return block

    def test_what_is_worse_comes_first_and_alike_lines_are_one(self):
        head, worse, same, *rest = gates.terminal(self.block(), width=200, color=False)
        assert head == "mine on d, k=10 against base"
        assert worse.startswith("  worse        speed at recall 0.95: 10.0 % slower (99 %: ")
        assert worse.endswith("; allowed 3.0 %; 5 sessions")
        assert same == (
            "  no change    recall at ef=10, ef=50: proved by identical answers to all 1,000 queries"
        )
        assert rest[0].startswith("  control      base beside its own copy: speed +0.0 % (")
        assert rest[1:] == [
            "  note         other processes used 1.0 of 2 cores meanwhile",
            "  to do        wait",
        ]

    def test_a_narrow_terminal_breaks_lines_and_cuts_nothing(self):
        lines = [*gates.terminal(self.block(), width=60, color=True)]
        assert all(len(line) <= 60 + len("\x1b[31m\x1b[0m") for line in lines[1:])
        assert "10.0 % slower" in " ".join(lines)

    def test_markdown_for_a_pull_request(self):
        text = gates.markdown([self.block()])
        assert text.startswith("## Gate: worse\n\n**mine on d, k=10** against **base**\n")
        assert "| **worse** | speed at recall " in text
        assert " | 10.0 % slower | 9.6…10.4 % | 3.0 % |  |" in text
        assert "- to do: wait" in text
        assert gates.markdown([]) == ""


def test_every_figure_of_a_gate_has_an_option_and_an_argument_of_the_marker():
    from pytest_annmodal.session.marker import ARGUMENTS

    for figure in GATED:
        assert hasattr(Settings(), figure.tolerance)
        assert getattr(Settings(), figure.tolerance) == TOLERANCES[figure.tolerance]
        assert figure.tolerance in ARGUMENTS


def test_what_else_went_on_is_read_from_the_kernels_accounts(tmp_path):
    """40 s of user time, 10 s idle, 5 s stolen since the start, at a hundred ticks a second."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  4000 0 0 1000 0 0 0 500 0 0\n")
    accounts = conditions.read(stat)
    assert (accounts.busy_s, accounts.stolen_s) == (40.0, 5.0)
    before = dataclasses.replace(accounts, wall_s=0, own_s=0, held_up=Throttling())
    after = dataclasses.replace(
        before,
        wall_s=10,
        own_s=8,
        busy_s=53,
        stolen_s=8,
        held_up=Throttling(times=3, seconds=0.25),
    )
    others, stolen, held_up = conditions.notes(before, after)
    assert others.startswith("other processes used 0.5 of ")
    assert stolen == "the host took 0.3 cores away meanwhile (steal)"
    assert held_up == "the CPU quota stopped this process 3 times, for 250 ms"
    assert not [*conditions.notes(before, dataclasses.replace(before, wall_s=10))]


class TestDisturbed:
    """Queries that are asked again, since one side was disturbed."""

    def test_a_query_that_one_side_took_longer_for_is_one(self):
        least = np.full((3, 100), 1000)
        least[0, 7], least[2, 40] = 1500, 9000
        assert race.disturbed(least).tolist() == [7, 40]

    def test_a_side_that_is_slower_throughout_is_not(self):
        least = np.full((3, 100), 1000)
        least[0] = 3000
        least[0, 7] = 6000
        assert race.disturbed(least).tolist() == [7]

    def test_of_many_the_most_different_are_asked_again(self):
        least = np.full((3, 100), 1000)
        least[1, :40] = 2000 + 10 * np.arange(40)
        assert race.disturbed(least).tolist() == list(range(15, 40))
