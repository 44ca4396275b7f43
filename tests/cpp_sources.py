"""C++ submissions for tests: an exact index, with methods to be replaced.

Its few headers are part of what each test waits for: the compiler reads them again every time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs import make_job

from pytest_annmodal.execution import run_job
from pytest_annmodal.model import Arguments, Variant
from pytest_annmodal.outcome import Outcome

PRELUDE = """
#include "annmodal.h"
#include <cstdio>

struct Exact : annmodal::Index {
  int dim = 0;
  const float* data = nullptr;
  std::size_t n = 0;
  void init(const std::string&, int dimension) override { dim = dimension; }
  void fit(const float* rows, std::size_t n_samples) override { data = rows, n = n_samples; }
  float far(const float* v, int id) {
    float sum = 0;
    for (int i = 0; i < dim; ++i) {
      const float difference = v[i] - data[std::size_t(id) * dim + i];
      sum += difference * difference;
    }
    return sum;
  }
  std::vector<int> query(const float* v, int k) override {
    std::vector<int> ids;
    std::vector<bool> taken(n);
    while (int(ids.size()) < k) {
      int best = -1;
      for (int i = 0; i < int(n); ++i)
        if (!taken[i] && (best < 0 || far(v, i) < far(v, best))) best = i;
      taken[best] = true, ids.push_back(best);
    }
    return ids;
  }
};
"""
FACTORY = "annmodal::Index* create_index() { return new Mine; }\n"


def index(body: str = "", *, before: str = "") -> str:
    """The text of an exact index with some methods replaced by those of ``body``."""
    return f"{PRELUDE}\n{before}\nstruct Mine : Exact {{\n{body}\n}};\n{FACTORY}"


EXACT = index()


def run(
    dataset: Path,
    source: Path,
    *,
    variants: Sequence[Variant] = (Variant(build=Arguments(), search=Arguments()),),
    implementation: Mapping[str, Any] | None = None,
    **options: Any,
) -> list[Outcome]:
    """Outcomes of a job, one per variant; they share the first one's build."""
    given = {"class_name": "", "style": "c++", "trusted": False, **(implementation or {})}
    options = {"clock": "parent", **options}
    job = make_job(
        dataset,
        source,
        settings=[None] * len(variants),
        build=variants[0].build,
        implementation=given,
        **options,
    )
    searches = tuple(
        dataclasses.replace(search, arguments=variant.search)
        for search, variant in zip(job.searches, variants, strict=True)
    )
    return run_job(dataclasses.replace(job, searches=searches), dataset)


def setting(**arguments: float) -> Variant:
    return Variant(build=Arguments(), search=Arguments(kwargs=arguments))
