"""``--ann-against``: a session beside a stored one."""

from __future__ import annotations

from plugin_project import EXACT, Project, lines_with

FORGETS = EXACT.replace('kind="stable")[:k]', 'kind="stable")[[*range(k - 1), len(self.X) - 1]]')


def test_a_recall_that_was_higher_fails_and_times_are_only_told(project: Project) -> None:
    """A first session has nothing to compare with; the next is held against it."""
    first = project.bench("--ann-against=latest")
    assert first.ret == 0
    assert lines_with(first, "nothing is stored to compare with")
    same = project.bench("--ann-against=latest")
    assert same.ret == 0
    assert lines_with(same, "recall: every one of 20 queries finds as much as it did")
    assert lines_with(same, "measured in another minute, so it is no verdict")
    project.write("mine/exact.py", FORGETS)
    worse = project.bench("--ann-against=.annmodal/results")
    assert worse.ret == 1
    failed = [line for line in worse.outlines if line.startswith("FAILED")]
    assert len(failed) == 2
    assert all("recall 0.1000 lower than exact[extra=" in line for line in failed)


def test_what_holds_no_results_is_refused(project: Project) -> None:
    result = project.bench("--ann-against=nowhere")
    assert result.ret == 4
    assert "there is no such file or folder" in result.stderr.str() + result.stdout.str()


def test_another_content_of_the_dataset_has_no_queries_in_common(project: Project) -> None:
    project.bench("--impl=exact")
    project.dataset("small-8-euclidean", n_train=150)
    result = project.bench("--ann-against=latest")
    assert result.ret == 0
    assert lines_with(result, "0 queries in common, since small-8-euclidean has another content")
