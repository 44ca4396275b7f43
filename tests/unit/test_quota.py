"""CPU quotas of control groups, read from a tree of files and from a real group."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import index, measured, run, write

from pytest_annmodal.jobs import machine, quota, trial
from pytest_annmodal.jobs.quota import Throttling, cpu_quota, throttling
from pytest_annmodal.jobs.share import Share
from pytest_annmodal.sandbox.cores import Cores

V2 = "30 23 0:26 / {at} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "32 31 0:29 {root} {at} rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
OTHER_V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"


@pytest.fixture
def tree(tmp_path):
    """A root directory with the groups of this process, their mounts and their files."""

    def tree(own, mounts, files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(own)
        (tmp_path / "proc/self/mountinfo").write_text("20 1 8:1 / / rw - ext4 /dev/a rw\n" + mounts)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return tree


class TestVersion2:
    MOUNT = V2.format(at="/sys/fs/cgroup")

    def test_a_quota_is_a_share_of_its_period(self, tree):
        """A quota is in cores: its share of the period."""
        root = tree("0::/job\n", self.MOUNT, {"sys/fs/cgroup/job/cpu.max": "150000 100000\n"})
        assert cpu_quota(root) == 1.5

    def test_the_least_of_all_groups_above_counts(self, tree):
        """The lowest quota of all parent groups counts."""
        files = {
            "sys/fs/cgroup/a/b/c/cpu.max": "800000 100000",
            "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            "sys/fs/cgroup/a/cpu.max": "50000 20000",
        }
        assert cpu_quota(tree("0::/a/b/c\n", self.MOUNT, files)) == 2.5

    def test_no_quota_is_none(self, tree):
        """A group without a limit or without the file has no quota."""
        files = {"sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}
        assert cpu_quota(tree("0::/a/b\n", self.MOUNT, files)) is None

    def test_a_path_from_outside_of_a_container_is_looked_for_at_its_root(self, tree):
        """Inside a container the mounted root is the container's own group."""
        files = {"sys/fs/cgroup/cpu.max": "200000 100000"}
        assert cpu_quota(tree("0::/../../docker/x\n", self.MOUNT, files)) == 2

    def test_what_was_held_up_is_added_up(self, tree):
        """Throttled times of all groups with a quota are added."""
        stat = "usage_usec 9\nnr_periods 20\nnr_throttled {}\nthrottled_usec {}\n"
        files = {
            "sys/fs/cgroup/a/b/cpu.max": "50000 100000",
            "sys/fs/cgroup/a/b/cpu.stat": stat.format(3, 1_500_000),
            "sys/fs/cgroup/a/cpu.max": "max 100000",
            "sys/fs/cgroup/a/cpu.stat": stat.format(100, 10**9),
            "sys/fs/cgroup/cpu.stat": "usage_usec 9\n",
        }
        found = throttling(tree("0::/a/b\n", self.MOUNT, files))
        assert found == Throttling(times=3, seconds=1.5)
        assert found.since(Throttling(times=1, seconds=0.5)) == Throttling(times=2, seconds=1)


class TestVersion1:
    OWN = "9:memory:/m\n4:cpu,cpuacct:/docker/abc/job\n0::/unified\n"

    def files(self, folder, quota_us="-1", period="100000", held_up="0", nanoseconds="0"):
        return {
            f"{folder}/cpu.cfs_quota_us": f"{quota_us}\n",
            f"{folder}/cpu.cfs_period_us": f"{period}\n",
            f"{folder}/cpu.stat": f"nr_throttled {held_up}\nthrottled_time {nanoseconds}\n",
        }

    def test_a_quota_and_what_it_held_up(self, tree):
        """Version 1 is read beside version 2 and other controllers."""
        mounts = OTHER_V1 + V1.format(root="/", at="/sys/fs/cgroup/cpu") + V2.format(at="/u")
        folder = "sys/fs/cgroup/cpu/docker/abc/job"
        root = tree(self.OWN, mounts, self.files(folder, "300000", "200000", "7", "2500000000"))
        assert cpu_quota(root) == 1.5
        assert throttling(root) == Throttling(times=7, seconds=2.5)

    def test_none(self, tree):
        """In version 1 a quota of -1 means none."""
        mounts = V1.format(root="/", at="/cpu")
        root = tree(self.OWN, mounts, self.files("cpu/docker/abc/job"))
        assert cpu_quota(root) is None
        assert throttling(root) == Throttling()

    def test_a_container_sees_its_own_group_as_the_root_of_the_mount(self, tree):
        """In version 1 the path from outside the container is cut off."""
        mounts = V1.format(root="/docker/abc", at="/sys/fs/cgroup/cpu")
        root = tree(self.OWN, mounts, self.files("sys/fs/cgroup/cpu/job", "50000"))
        assert cpu_quota(root) == 0.5


@pytest.mark.parametrize("own", ["", "nonsense\n", "0::\n", "4:cpu:relative\n"])
@pytest.mark.parametrize("content", ["", "x y\n", "10\n", "0 0\n", "-5 100000\n", "max\n"])
def test_unreadable_files_mean_no_quota(tree, own, content):
    """Unreadable files mean no quota, without an error."""
    mounts = "1 2\n" + V2.format(at="/c") + V1.format(root="/", at="/c")
    files = {"c/cpu.max": content, "c/cpu.cfs_quota_us": content, "c/cpu.stat": content}
    root = tree(own, mounts, files)
    assert cpu_quota(root) is None
    assert throttling(root) == Throttling()
    assert cpu_quota(root / "nothing") is None


def test_the_cores_are_whole_ones_that_the_quota_allows(monkeypatch):
    """The usable cores are the whole cores of the quota, at most those of the process."""
    monkeypatch.setattr(machine, "affinity_cores", lambda: 8)
    found = [machine.usable_cores(share) for share in (None, 100.0, 3.9, 0.4)]
    assert found == [8, 8, 3, 1]


class TestShare:
    def test_a_short_hold_up_is_noise_and_no_excuse(self):
        """Throttling for less than a fiftieth of the time is ignored."""
        given = {"threads": 1, "cores": Cores(), "n_query_cores": 1, "quota": 1.0, "work": {}}
        for seconds, disturbed in ((0.0, False), (0.1, False), (0.3, True)):
            held_up = Throttling(times=1, seconds=seconds)
            share = Share(held_up=held_up, wall_s=10.0, **given)
            assert share.disturbed is disturbed
            assert [note.split()[0] for note in share.notes()] == ["noisy:"]


class TestNotes:
    @pytest.fixture
    def outcome_with(self, small_dataset, tmp_path, monkeypatch):
        def outcome_with(share, held_up=(), **options):
            looks = iter(held_up)
            monkeypatch.setattr(machine, "cpu_quota", lambda: share)
            monkeypatch.setattr(trial, "throttling", lambda: next(looks, Throttling()))
            source = write(tmp_path / "mine.py", index("pass"))
            return measured(run(small_dataset(), source, **options)[0])

        return outcome_with

    def test_a_quota_below_the_threads_is_noted(self, outcome_with):
        """A quota below the threads is noted, a sufficient one not."""
        outcome = outcome_with(0.5)
        assert outcome.environment["cpu_quota"] == 0.5
        assert outcome.environment["cores"] == 1
        words = "1 thread was asked for, but the CPU quota of this control group is 0.5 cores"
        assert any(note.startswith(words) for note in outcome.notes)
        assert not any("quota" in note for note in outcome_with(1.0).notes)

    def test_being_held_up_is_noise(self, outcome_with):
        """Throttling between the first query and the end of the batch is noted."""
        looks = [Throttling(times=5, seconds=1.0), Throttling(times=8, seconds=1.25)]
        outcome = outcome_with(1.0, looks)
        assert outcome.environment["throttled_times"] == 3
        assert outcome.environment["throttled_s"] == 0.25
        assert "queries" in outcome.disturbed
        words = "noisy: the CPU quota of 1 core stopped this process 3 times, for 0.25 s"
        assert any(note.startswith(words) for note in outcome.notes)


@pytest.fixture
def group():
    """A real control group with half a core."""
    found = [folder for folder in quota._groups(quota.ROOT) if os.access(folder, os.W_OK)]
    if not found:
        pytest.skip("this process may make no control groups")
    made = found[0] / f"annmodal-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"the kernel refuses a control group: {error}")
    try:
        for name, text in (
            ("cpu.max", "20000 40000"),
            ("cpu.cfs_period_us", "40000"),
            ("cpu.cfs_quota_us", "20000"),
        ):
            if (made / name).exists():
                (made / name).write_text(text)
        if not ((made / "cpu.max").exists() or (made / "cpu.cfs_quota_us").exists()):
            pytest.skip("the CPU controller is not passed on to groups made here")
        yield made
    finally:
        made.rmdir()


BUSY = """
import time
from pytest_annmodal.jobs.quota import cpu_quota, throttling
before = throttling()
found = throttling()
while found.since(before).times < 2 or not found.since(before).seconds: found = throttling()
print(cpu_quota())
"""


def test_a_real_group_is_read(group: Path):
    """A real group's quota and throttling are read."""
    join = f"import os\nopen({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
    done = subprocess.run(
        [sys.executable, "-c", join + BUSY], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("0.5\n", "")
