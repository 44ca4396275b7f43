"""Computes the most a session on Modal can take and cost, before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.model import Job
from pytest_annmodal.settings.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One container per job, and one that scores submissions, each for the time limit at most."""

    containers: int
    cores: float
    memory_gib: float
    at_once: int | None
    minutes_each: float
    usd_per_container_hour: float

    @property
    def container_minutes(self) -> float:
        return self.containers * self.minutes_each

    @property
    def usd_at_most(self) -> float:
        return self.usd_per_container_hour * self.container_minutes / 60

    def line(self) -> str:
        """Returns the first line of every run on Modal."""
        many = "s" if self.containers != 1 else ""
        at_once = f", {self.at_once} at once" if self.at_once else ""
        return (
            f"Modal: {self.containers} container{many} of {self.cores:g} cores and "
            f"{self.memory_gib:g} GiB{at_once}, at most {self.minutes_each:g} min each: "
            f"at most {self.container_minutes:,.0f} container-minutes, ${self.usd_at_most:,.2f} "
            f"(${self.usd_per_container_hour:.3f} per container-hour)"
        )


def plan_of(jobs: Sequence[Job], settings: Settings) -> Plan:
    """Returns the plan of these jobs; each counts with the time limit, since none is known."""
    memory_gib = settings.modal_memory_mb / 1024
    with_referee = not all(job.implementation.trusted for job in jobs)
    limit = settings.modal_max_containers
    return Plan(
        containers=len(jobs) + with_referee,
        cores=settings.modal_cpu,
        memory_gib=memory_gib,
        at_once=limit if limit and limit < len(jobs) else None,
        minutes_each=settings.modal_timeout_s / 60,
        usd_per_container_hour=(
            settings.modal_cpu * settings.modal_usd_core_hour
            + memory_gib * settings.modal_usd_gib_hour
        ),
    )


def refuse_too_large(plan: Plan, settings: Settings) -> None:
    """Raises ConfigurationError for a plan above ``--modal-max-minutes``."""
    allowed = settings.modal_max_minutes
    if allowed is not None and plan.container_minutes > allowed:
        raise ConfigurationError(
            f"{plan.line()}. That is more than --modal-max-minutes {allowed:g}: select less "
            "(--impl, --dataset, -k) or lower --modal-timeout."
        )
