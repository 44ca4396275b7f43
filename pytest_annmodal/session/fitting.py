"""Matches settings of implementations with datasets, and says why others are left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_annmodal.manifests import constraints
from pytest_annmodal.model import Arguments, Case, Dataset, Implementation, Variant

MAX_LINES = 8  # below a session's tables
MAX_NAMES = 3
ALL = "all settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A combination that is not run, and why.

    Attributes:
        values: that break a constraint of its header; empty if there is another reason.
    """

    implementation: str
    settings: str
    dataset: str
    reason: str
    values: str = ""

    @property
    def by_header(self) -> bool:
        return bool(self.values)


def serves(item: Implementation, dataset: Dataset) -> bool:
    """Whether it serves the dataset's metric; also true if that is unknown or it has an error."""
    return dataset.metric is None or dataset.metric in item.metrics or item.error is not None


def n_rows(dataset: Dataset, subset: int | None) -> int | None:
    """Returns the number of indexed rows, if it is known without the file."""
    if dataset.n_train is None or subset is None:
        return dataset.n_train
    return min(dataset.n_train, subset)


def why_not(
    item: Implementation, variant: Variant, dataset: Dataset, *, k: int, subset: int | None
) -> tuple[str, str] | None:
    """Returns the header's constraint that a setting breaks on a dataset, and the values."""
    n = n_rows(dataset, subset)
    if variant.target is not None:  # its search arguments are not known yet
        variant = replace(variant, search=Arguments())
    return constraints.broken(item, variant, k=k, n=n, dim=dataset.dim)


def left_out(
    items: Iterable[Implementation], datasets: Sequence[Dataset], *, k: int, subset: int | None
) -> Iterator[LeftOut]:
    """Yields all combinations that are not run; a metric not served is one for all settings."""
    for item in items:
        for dataset in datasets:
            if not serves(item, dataset):
                served = ", ".join(item.metrics)
                yield LeftOut(
                    implementation=item.name,
                    settings=ALL,
                    dataset=dataset.name,
                    reason=f"it does not serve {dataset.metric} (only {served})",
                )
                continue
            for variant in item.variants:
                broken = why_not(item, variant, dataset, k=k, subset=subset)
                if broken is not None:
                    yield LeftOut(
                        implementation=item.name,
                        settings=variant.label or ALL,
                        dataset=dataset.name,
                        reason=f"{broken[0]} does not hold",
                        values=broken[1],
                    )


def expand(
    items: Iterable[Implementation],
    datasets: Sequence[Dataset],
    *,
    k: int,
    rounds: int,
    subset: int | None = None,
    default_variant_only: bool = False,
    constrained: bool = True,
) -> list[Case]:
    """Returns a case for every combination that fits, ordered by dataset first.

    Args:
        constrained: whether headers may refuse combinations. Not in grading, where a
            submission could choose the datasets that it is measured on.
    """
    return [
        Case(
            implementation=item, variant=variant, dataset=dataset, k=k, rounds=rounds, subset=subset
        )
        for dataset in datasets
        for item in items
        if serves(item, dataset)
        for variant in (item.variants[:1] if default_variant_only else item.variants)
        if not (constrained and why_not(item, variant, dataset, k=k, subset=subset))
    ]


def nothing_fits(
    items: Sequence[Implementation],
    datasets: Sequence[Dataset],
    *,
    k: int,
    subset: int | None,
) -> str:
    """Says why no selected implementation fits any selected dataset."""
    refused = [one for one in left_out(items, datasets, k=k, subset=subset) if one.by_header]
    if refused:
        reasons = "; ".join(lines(refused)[:MAX_LINES])
        return f"nothing to measure: {reasons}. --ann-param gives a parameter other values."
    served = sorted({metric for item in items for metric in item.metrics})
    held = ", ".join(f"{dataset.name} ({dataset.metric})" for dataset in datasets[:5])
    more = ", …" if len(datasets) > 5 else ""
    return (
        f"nothing to measure: the selected implementations serve {', '.join(served)}, and not "
        f"the metric of {held}{more}. Choose another --dataset or --impl."
    )


def lines(found: Iterable[LeftOut]) -> list[str]:
    """Returns one line for each implementation and reason of what is left out.

    ``hnswlib: ef=10 on sift-128-euclidean: k <= ef does not hold (k=20, ef=10)``.
    """
    groups: dict[tuple[str, str], list[LeftOut]] = {}
    for one in found:
        groups.setdefault((one.implementation, one.reason), []).append(one)
    return [
        f"{name}: {_settings(group)} on {_datasets(group)}: {reason}{_values(group)}"
        for (name, reason), group in groups.items()
    ]


def first_lines(found: Iterable[LeftOut]) -> list[str]:
    """Returns the first of these lines, for the end of a session."""
    every = [f"Left out: {line}" for line in lines(found)]
    if len(every) <= MAX_LINES:
        return every
    more = f"… and {len(every) - MAX_LINES + 1:,} more reasons; --ann-plan shows all"
    return [*every[: MAX_LINES - 1], more]


def _settings(group: Sequence[LeftOut]) -> str:
    each = list(dict.fromkeys(one.settings for one in group))
    return each[0] if len(each) == 1 else f"{len(each):,} settings"


def _values(group: Sequence[LeftOut]) -> str:
    each = {one.values for one in group}
    such_as = "such as " if len(each) > 1 else ""
    return f" ({such_as}{group[0].values})" if group[0].values else ""


def _datasets(group: Sequence[LeftOut]) -> str:
    each = list(dict.fromkeys(one.dataset for one in group))
    named = ", ".join(each[:MAX_NAMES])
    return named if len(each) <= MAX_NAMES else f"{named} and {len(each) - MAX_NAMES:,} more"
