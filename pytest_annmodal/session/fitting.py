"""Which settings of which implementation fit which dataset, and why the others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_annmodal.manifests import constraints
from pytest_annmodal.model import Case, Dataset, Implementation, Variant

MAX_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A combination that is not run, and why."""

    implementation: str
    settings: str
    dataset: str
    reason: str
    by_header: bool


def serves(item: Implementation, dataset: Dataset) -> bool:
    """Whether it knows the dataset's metric, as far as that is known; what is unusable says so."""
    return dataset.metric is None or dataset.metric in item.metrics or item.error is not None


def n_rows(dataset: Dataset, subset: int | None) -> int | None:
    """How many rows will be indexed, as far as that is known without the file."""
    if dataset.n_train is None or subset is None:
        return dataset.n_train
    return min(dataset.n_train, subset)


def why_not(
    item: Implementation, variant: Variant, dataset: Dataset, *, k: int, subset: int | None
) -> str | None:
    """The constraint of its header that a setting breaks on a dataset, in words."""
    n = n_rows(dataset, subset)
    return constraints.broken(item, variant, k=k, n=n, dim=dataset.dim)


def left_out(
    items: Iterable[Implementation], datasets: Sequence[Dataset], *, k: int, subset: int | None
) -> Iterator[LeftOut]:
    """Every combination that is not run. One whose metric is not served is one for all settings."""
    for item in items:
        for dataset in datasets:
            if not serves(item, dataset):
                served = ", ".join(item.metrics)
                yield LeftOut(
                    implementation=item.name,
                    settings=f"all {len(item.variants)}" if len(item.variants) > 1 else "all",
                    dataset=dataset.name,
                    reason=f"it does not serve {dataset.metric} (only {served})",
                    by_header=False,
                )
                continue
            for variant in item.variants:
                reason = why_not(item, variant, dataset, k=k, subset=subset)
                if reason is not None:
                    yield LeftOut(
                        implementation=item.name,
                        settings=variant.label,
                        dataset=dataset.name,
                        reason=reason,
                        by_header=True,
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
    """A case for every combination that fits, datasets outermost.

    Args:
        constrained: whether headers may refuse combinations. In grading they may not: a
            submission would choose which datasets it is measured on.
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
    """Why no combination of what is selected makes a case."""
    refused = [one for one in left_out(items, datasets, k=k, subset=subset) if one.by_header]
    if refused:
        return (
            f"nothing to measure: {'; '.join(lines(refused))}. --ann-param gives a parameter "
            "other values."
        )
    served = sorted({metric for item in items for metric in item.metrics})
    held = ", ".join(f"{dataset.name} ({dataset.metric})" for dataset in datasets[:5])
    more = ", …" if len(datasets) > 5 else ""
    return (
        f"nothing to measure: what is selected serves {', '.join(served)}, and not the metric of "
        f"{held}{more}. Choose another --dataset or --impl."
    )


def lines(found: Iterable[LeftOut]) -> list[str]:
    """What a session says of settings that a header refuses: one line for each reason."""
    counts = Counter((one.implementation, one.dataset, one.reason) for one in found)
    shown = [
        f"{number} setting{'s' if number > 1 else ''} of {name} on {dataset} left out: {reason}"
        for (name, dataset, reason), number in counts.items()
    ]
    if len(shown) > MAX_LINES:
        more = f"… and {len(shown) - MAX_LINES + 1:,} more reasons; --ann-plan shows all"
        shown = [*shown[: MAX_LINES - 1], more]
    return shown
