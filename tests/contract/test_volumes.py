"""The volume contract, run on every volume."""

from __future__ import annotations

import pytest
from volume_contract import VolumeContract

from pytest_annmodal.datasets.volume.volume import LocalVolume
from pytest_annmodal.errors import CommitError, ReloadError


class TestLocalVolume(VolumeContract):
    @pytest.fixture
    def volume(self, tmp_path):
        return LocalVolume(tmp_path / "not" / "yet" / "there")

    @pytest.fixture
    def other_view(self, volume):
        return LocalVolume(volume.path)

    def test_a_file_in_its_place_fails_to_reload_and_to_commit(self, tmp_path):
        (tmp_path / "file").write_text("")
        volume = LocalVolume(tmp_path / "file")
        with pytest.raises(ReloadError, match="Not a directory"):
            volume.reload()
        with pytest.raises(CommitError, match="could not be flushed"):
            volume.commit()
