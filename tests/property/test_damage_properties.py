"""Damaged files are refused in one sentence, or read exactly."""

from __future__ import annotations

import damage
import numpy as np
import pytest

from pytest_annmodal.datasets import hdf5


def test_no_damaged_file_ends_in_a_traceback_or_is_served_wrongly(tmp_path):
    """Some hundred damaged files; ``python tests/property/damage.py 20000`` tries more."""
    counted = damage.run(160, seed=0, folder=tmp_path, limit_s=60)
    assert not [found for found in counted if found[1] == "WRONG"]
    refused = sum(n for (_, found), n in counted.items() if found.startswith("refused"))
    assert 25 < refused < 150


@pytest.mark.parametrize("name", ["train", "distances"])
def test_what_is_served_wrongly_would_be_found(tmp_path, name):
    """The check finds a wrong value and a wrong truth."""
    path = next(path for _, _, path in damage.originals(tmp_path))
    served = hdf5.load(path)
    damage.require_consistent(path, served)
    getattr(served, name)[0] += 1
    with pytest.raises(AssertionError):
        damage.require_consistent(path, served)


def test_damage_is_the_same_for_the_same_seed(tmp_path):
    """The same seed gives the same damage, so that a finding can be repeated."""
    path = next(path for _, _, path in damage.originals(tmp_path))
    content, places = path.read_bytes(), damage.headers(path)
    one, two, three = (
        damage.damage(content, places, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one == two != three != content
