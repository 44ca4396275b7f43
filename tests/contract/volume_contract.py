"""What every Volume must do. A member subclasses it in test_volumes.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_annmodal.datasets.catalog import CATALOG
from pytest_annmodal.datasets.lines import Reporter
from pytest_annmodal.datasets.volume.volume import is_present, resolve
from pytest_annmodal.protocols import Volume

DIGITS = CATALOG["digits-64-euclidean"]


class VolumeContract:
    """Subclasses give ``volume`` (empty) and ``other_view``, another client of the same volume."""

    @pytest.fixture
    def volume(self) -> Volume:
        raise NotImplementedError

    @pytest.fixture
    def other_view(self, volume: Volume) -> Volume:
        raise NotImplementedError

    def test_it_has_a_name_and_an_absolute_path(self, volume):
        assert volume.name
        assert isinstance(volume.path, Path)
        assert volume.path.is_absolute()

    def test_an_empty_volume_can_be_reloaded_and_committed(self, volume):
        volume.reload()
        volume.commit()

    def test_what_was_committed_is_seen_by_others_after_a_reload(self, volume, other_view):
        volume.reload()
        (volume.path / "x.txt").write_text("hello")
        volume.commit()
        other_view.reload()
        assert (other_view.path / "x.txt").read_text() == "hello"

    def test_reloading_keeps_what_was_written(self, volume):
        volume.reload()
        (volume.path / "x.txt").write_text("hello")
        volume.commit()
        volume.reload()
        assert (volume.path / "x.txt").read_text() == "hello"

    def test_a_stored_dataset_that_was_damaged_at_the_same_size_is_replaced(self, volume):
        """Damage without a change of size is noticed, whether or not the volume keeps times."""
        good = resolve(DIGITS, volume, reporter=Reporter())
        damaged = bytearray(good.path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        good.path.write_bytes(damaged)
        volume.commit()
        lines = []
        again = resolve(DIGITS, volume, reporter=Reporter(line=lines.append))
        assert (again.was_present, again.sha256) == (False, good.sha256)
        aside = good.path.with_name(f"{good.path.name}.corrupt")
        assert aside.read_bytes() == damaged
        reason = f"{good.path}: its content has changed since it was stored."
        assert any(line.endswith(f"was set aside as {aside.name}: {reason}") for line in lines)

    def test_a_dataset_is_resolved_once_for_everyone(self, volume, other_view):
        assert not is_present(DIGITS, volume)
        lines = []
        first = resolve(DIGITS, volume, reporter=Reporter(line=lines.append))
        second = resolve(DIGITS, other_view, reporter=Reporter(line=lines.append))
        assert (first.was_present, second.was_present) == (False, True)
        assert first.sha256 == second.sha256
        assert is_present(DIGITS, other_view)
        assert lines[-3:-1] == [
            f"✅ Dataset '{DIGITS.name}' found in volume '{volume.name}'!",
            "   Using cached dataset (no download needed)",
        ]
