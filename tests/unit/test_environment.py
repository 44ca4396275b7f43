"""The machine is described in plain data."""

import json
import os
import sys
from pathlib import Path

import pytest

from pytest_annmodal.jobs import machine


def test_the_description_is_plain_and_complete():
    """The description of the machine can be written as JSON."""
    described = machine.describe_machine()
    assert json.loads(json.dumps(described)) == described
    assert {"cpu", "cores", "affinity_cores", "cpu_quota", "load_1min", "system"} <= set(described)
    assert described["cpu"]


def test_the_cores_are_those_that_this_process_may_use():
    """The cores are those that this process may use."""
    if sys.platform != "linux":
        pytest.skip("affinity is Linux's")
    assert machine.usable_cores(None) == len(os.sched_getaffinity(0))


def test_without_affinity_all_cores_count(monkeypatch):
    """On systems without affinity all cores count."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert machine.usable_cores(None) == os.cpu_count()


def test_a_processor_without_a_name_is_called_by_its_kind(monkeypatch):
    """Without a model name the processor's architecture is used."""
    machine.cpu_model.cache_clear()
    monkeypatch.setattr(Path, "exists", lambda _self: False)
    try:
        assert machine.cpu_model()
    finally:
        machine.cpu_model.cache_clear()
