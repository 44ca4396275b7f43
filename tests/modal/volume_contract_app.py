"""An app that runs the Volume contract on MountedVolume inside a container.

The other client of the contract is another container, whose files are fetched to look at.
"""

import sys
from pathlib import Path

import modal

CONTRACT = Path(__file__).parents[1] / "contract"
NAME, MOUNT = "contract", "/data"
HERE = Path(__file__)
MEMBER = """
import shutil
from pathlib import Path

import pytest
from volume_contract import VolumeContract

import volume_contract_app
from pytest_annmodal.executors.modal.container import MountedVolume


class OtherContainer(MountedVolume):
    def __init__(self, name, folder):
        super().__init__(name, str(folder))

    def reload(self):
        for name, content in volume_contract_app.look.remote().items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


class TestMountedVolume(VolumeContract):
    @pytest.fixture
    def volume(self):
        for path in Path("/data").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return MountedVolume("contract", "/data")

    @pytest.fixture
    def other_view(self, volume, tmp_path):
        return OtherContainer("contract", tmp_path)
"""

if modal.is_local():
    sys.path.insert(0, str(HERE.parents[2]))
    from pytest_annmodal.executors.modal.definitions import HARNESS, REMOTE_PACKAGE, pinned

    image = (
        modal.Image.debian_slim()
        .pip_install(*map(pinned, HARNESS), "pytest")
        .add_local_dir(HERE.parents[2] / "pytest_annmodal", REMOTE_PACKAGE, ignore=["**/*.pyc"])
        .add_local_file(CONTRACT / "volume_contract.py", "/root/volume_contract.py")
    )
else:
    image = None
app = modal.App("contract", image=image)
volume = modal.Volume.from_name(NAME, create_if_missing=True)


@app.function(volumes={MOUNT: volume}, single_use_containers=True)
def look() -> dict[str, bytes]:
    root = Path(MOUNT)
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@app.function(volumes={MOUNT: volume})
def run_contract() -> int:
    import pytest

    Path("/root/test_member.py").write_text(MEMBER)
    return int(pytest.main(["-q", "-p", "no:cacheprovider", "/root/test_member.py"]))


@app.local_entrypoint()
def main() -> None:
    sys.exit(run_contract.remote())
