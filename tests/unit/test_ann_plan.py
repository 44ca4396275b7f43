"""``--ann-plan``: estimates from the store, else from a model, each with its origin."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_annmodal.manifests import header, manifest
from pytest_annmodal.model import Arguments, Dataset, Implementation, Job, Limits, Search, Variant
from pytest_annmodal.results.store import ResultStore
from pytest_annmodal.results.stored import StoredCase
from pytest_annmodal.session import costs, fitting, plan, planning
from pytest_annmodal.settings.config import Settings

DATA = Dataset(
    name="d", source="generate:d", metric="euclidean", n_train=10_000, dim=64, n_queries=100
)
M16, EF20 = Arguments(kwargs={"M": 16}), Arguments(kwargs={"ef": 20})
ITEM = Implementation(
    name="lib", path="/lib.py", class_name="Lib", metrics=("euclidean",),
    variants=(Variant(build=M16, search=EF20),),
)  # fmt: skip


def stored(**change: Any) -> StoredCase:
    known: dict[str, Any] = {
        "case_id": "lib[M=16,ef=20]-d-k10", "implementation": "lib", "label": "lib[M=16,ef=20]",
        "build_label": "lib[M=16]", "build": M16, "search": EF20, "dataset": "d", "k": 10,
        "threads": 1, "machine": "here", "n_train": 10_000, "dim": 64, "build_s": 7.0,
        "mean_s": 0.001, "index_bytes": 5_000_000, "peak_rss_bytes": 99_000_000,
        "measured_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return StoredCase(**{**known, **change})


def job(**change: Any) -> Job:
    made = Job(
        dataset=DATA,
        implementation=ITEM,
        build=M16,
        searches=(Search(case_id="s", arguments=EF20, k=10, rounds=3),),
    )
    return dataclasses.replace(made, **change)


def estimate(cases: list[StoredCase], one: Job | None = None) -> costs.Estimate:
    return costs.Costs(cases, "here").of(one or job(), n=10_000, n_queries=100)


def test_the_store_knows() -> None:
    """An estimate uses the newest measurement on this class of machine."""
    older = stored(build_s=1.0, measured_at="2025-01-01T00:00:00Z")
    elsewhere = stored(build_s=2.0, machine="there", measured_at="2026-05-01T00:00:00Z")
    found = estimate([stored(), older, elsewhere])
    assert (found.build_s, found.memory_bytes) == (7.0, 99_000_000)
    assert found.queries_s == pytest.approx(0.4)
    assert found.sources == ("store",)


def test_rounds_end_when_their_time_is_over() -> None:
    """``--ann-max-time`` limits the estimated rounds as it limits the real ones."""
    limits = Limits(max_search_s=0.1)
    found = estimate([stored()], job(limits=limits))
    assert found.queries_s == pytest.approx(0.3)


def test_a_model_estimates_without_measurements() -> None:
    """Without measurements a model estimates from rows, dimension and threads; unknown libraries count as exact."""
    law = costs.EXACT.build_s
    found = estimate([stored(machine="there")])
    assert found.build_s == pytest.approx(law.of(10_000, 64, {}))
    assert found.sources == ("model",)
    assert found.memory_bytes is not None
    assert found.memory_bytes > 2 * 10_000 * 64 * 4


def test_a_model_is_scaled_by_what_this_machine_took() -> None:
    """A model is scaled by measurements on this machine: twice the rows take twice the time."""
    other = dataclasses.replace(DATA, name="larger", n_train=20_000)
    found = costs.Costs([stored()], "here").of(job(dataset=other), n=20_000, n_queries=100)
    assert found.build_s == pytest.approx(14.0)
    assert found.sources == ("scaled model",)


def test_an_unknown_size_has_no_estimate() -> None:
    """For a dataset of unknown size there is no estimate."""
    unknown = dataclasses.replace(DATA, n_train=None, dim=None)
    found = costs.Costs([], "here").of(job(dataset=unknown), n=None, n_queries=None)
    assert (found.build_s, found.queries_s, found.memory_bytes) == (None, None, None)
    assert found.sources == ("unknown",)
    made = plan.make([job(dataset=unknown)], [], Settings(results="off"), "here")
    assert "1 job, 1 setting: 1 job of unknown length" in made.lines()[-1]


def test_every_model_names_parameters_of_its_implementation() -> None:
    """Every parameter in a model exists: a renamed one would count as 1 unnoticed."""
    builtin = {item.name: item for item in manifest.builtin()}
    assert set(costs.MODELS) <= set(builtin)
    for name, model in costs.MODELS.items():
        (variant, *_) = builtin[name].variants
        known = {**variant.build.kwargs, **variant.search.kwargs}
        for law in (model.build_s, model.query_s, model.index_bytes):
            assert set(law.parameters) <= set(known), name


def test_a_plan_as_text_and_as_json(tmp_path: Path) -> None:
    """Text and JSON list the jobs, their cost, its origin, and what is left out and why."""
    settings = Settings(
        rootdir=tmp_path, modal_cpu=1, modal_usd_core_hour=0.1, modal_memory_mb=1024
    )
    store = ResultStore(tmp_path / ".annmodal" / "results", "session", lambda _text: None)
    store.add([(stored(), None)])
    store.close()
    large = job(searches=(Search(case_id="x", arguments=EF20, k=20_000, rounds=3),))
    left_out = fitting.LeftOut(
        implementation="lib", settings="ef=5", dataset="d", reason="k <= ef", values="k=10, ef=5"
    )
    made = plan.make([job(), large], [left_out], settings, "here")
    head, columns, row, total, *left = made.lines()
    assert head == "Plan for here. Nothing is run."
    assert " ".join(columns.split()) == "job settings build queries memory on Modal from"
    assert " ".join(row.split()) == "lib[M=16] on d 1 7 s 400 ms 99.0 MB $0.001 store"
    assert total.startswith("1 job, 1 setting: about 7.4 s, on Modal about $0.00 ($0.108 per")
    assert left == [
        "Left out:",
        "  lib: ef=5 on d: k <= ef (k=10, ef=5)",
        "  lib: ef=20 on d: k=20000 is more than the 10,000 rows",
    ]
    plan.write(made, tmp_path / "plan.json")
    data = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert data["schema"] == plan.SCHEMA
    assert data["jobs"][0]["settings"] == ["ef=20"]
    assert data["jobs"][0]["estimate"]["sources"] == ["store"]
    assert data["jobs"][0]["usd_on_modal"] == pytest.approx(0.108 * 27.4 / 3600)
    assert [one["reason"] for one in data["left_out"]] == [
        "k <= ef",
        "k=20000 is more than the 10,000 rows",
    ]


def test_many_settings_on_many_datasets() -> None:
    """Of 200 settings on 20 datasets each is planned, or left out with a reason."""
    rows = header.grid({"M": ["1..20"], "ef": ["5..14"]}, "search")
    item = dataclasses.replace(
        ITEM,
        variants=tuple(Variant(build=Arguments(), search=row) for row in rows),
        constraints=("k <= ef", "dim % M == 0"),
    )
    data = [dataclasses.replace(DATA, name=f"d{n}", dim=n) for n in range(1, 21)]
    cases = fitting.expand([item], data, k=10, rounds=3)
    left_out = list(fitting.left_out([item], data, k=10, subset=None))
    settings = Settings(results="off")
    made = plan.make(planning.jobs(cases, settings), left_out, settings, "here")
    assert sum(len(one.settings) for one in made.jobs) + len(left_out) == 200 * 20
