"""Levels of isolation: which one is chosen, what a worker sees, how it is set up."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.sandbox import isolation, process_tree, refusal
from pytest_annmodal.worker import confinement


@pytest.fixture
def no_bubblewrap(monkeypatch):
    """A machine without bubblewrap."""
    monkeypatch.setattr(isolation.shutil, "which", lambda _name: None)
    isolation.strongest.cache_clear()
    yield
    isolation.strongest.cache_clear()


class TestChoose:
    def test_a_trusted_implementation_is_never_shut_in(self, no_bubblewrap):
        """A trusted implementation is never isolated."""
        for wanted in ("auto", "strict", "process"):
            assert isolation.choose(wanted, trusted=True) == "none"

    def test_the_weakest_can_be_asked_for(self):
        """The weakest level is chosen without trying others."""
        assert isolation.choose("process", trusted=False) == "process"

    def test_strict_is_refused_where_it_cannot_be_had(self, no_bubblewrap):
        """If strict does not work, the error says what is missing and which level works."""
        with pytest.raises(ConfigurationError, match="needs bubblewrap") as caught:
            isolation.choose("strict", trusted=False)
        assert isolation.choose("auto", trusted=False) in {"uid", "process"}
        assert isolation.choose("auto", trusted=False) in str(caught.value)

    def test_what_is_installed_and_does_not_work_is_not_chosen(self, monkeypatch, tmp_path):
        """A bubblewrap that does not work (no user namespaces) is not chosen."""
        broken = tmp_path / "bwrap"
        broken.write_text("#!/bin/sh\nexit 1\n")
        broken.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        isolation.strongest.cache_clear()
        try:
            assert isolation.strongest() != "bubblewrap"
        finally:
            isolation.strongest.cache_clear()

    def test_a_user_without_rights_cannot_change_its_id(self, no_bubblewrap, monkeypatch):
        """Without root and bubblewrap only the level process is left."""
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert isolation.strongest() == "process"


REFUSED = {
    "kernel.apparmor_restrict_unprivileged_userns": (
        "bwrap: setting up uid map: Permission denied",
        (
            "kernel.apparmor_restrict_unprivileged_userns is 1, as on Ubuntu since 23.10: allow them "
            "with `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
        ),
    ),
    "user.max_user_namespaces": (
        (
            "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces "
            "exceeded (ENOSPC)"
        ),
        (
            "user.max_user_namespaces is 0: allow them with `sudo sysctl -w "
            "user.max_user_namespaces=15000`"
        ),
    ),
    "kernel.unprivileged_userns_clone": (
        (
            "bwrap: No permissions to create new namespace, likely because the kernel does not allow "
            "non-privileged user namespaces."
        ),
        (
            "kernel.unprivileged_userns_clone is 0: allow them with `sudo sysctl -w "
            "kernel.unprivileged_userns_clone=1`"
        ),
    ),
}


class TestRefusal:
    @pytest.fixture
    def refuse(self, monkeypatch, tmp_path):
        """A bubblewrap that says this and fails, on a machine with these kernel settings."""

        def refuse(words, settings, marks=()):
            fake = tmp_path / "bin" / "bwrap"
            fake.parent.mkdir()
            fake.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
            fake.chmod(0o755)
            for name, value in settings.items():
                file = tmp_path / "sys" / name.replace(".", "/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{value}\n")
            monkeypatch.setattr(refusal, "KERNEL_SETTINGS", tmp_path / "sys")
            monkeypatch.setattr(refusal, "CONTAINER_MARKS", marks)
            monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
            monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
            isolation.strongest.cache_clear()

        yield refuse
        isolation.strongest.cache_clear()

    @pytest.mark.parametrize("name", REFUSED)
    def test_by_a_setting_names_the_setting(self, refuse, name):
        """The refusal names the kernel setting and the command that allows it."""
        said, advice = REFUSED[name]
        refuses, allows, _ = refusal.SYSCTLS[name]
        others = {other: values[1] for other, values in refusal.SYSCTLS.items() if other != name}
        refuse(said, {**others, name: refuses})
        with pytest.raises(ConfigurationError) as caught:
            isolation.choose("strict", trusted=False)
        assert str(caught.value).startswith(
            "--ann-isolation=strict needs bubblewrap; bubblewrap is installed but does not "
            f"work: {said!r}. It needs user namespaces; {advice}. See docs/"
        )
        assert f"{name}={allows}" in isolation.weakness("process", "auto")

    def test_in_a_container_names_its_options(self, refuse, tmp_path):
        """In a container the refusal names the options to start it with."""
        (tmp_path / "mark").touch()
        refuse(
            "bwrap: Creating new namespace failed: Operation not permitted", {}, [tmp_path / "mark"]
        )
        assert "this is a container: start it with --security-opt" in isolation.why_no_bubblewrap()

    def test_that_nothing_explains_is_shown(self, refuse):
        """An unknown refusal is shown as bubblewrap printed it."""
        refuse("bwrap: Unknown option --size", {})
        assert isolation.why_no_bubblewrap() == (
            "bubblewrap is installed but does not work: 'bwrap: Unknown option --size'. It needs user "
            "namespaces; no kernel setting was found that refuses them. See docs/security.md"
        )

    def test_is_real(self):
        """A real refusal: a user namespace that allows no further ones."""
        code = (
            "from pathlib import Path\n"
            "from pytest_annmodal.sandbox import isolation\n"
            "Path('/proc/sys/user/max_user_namespaces').write_text('0')\n"
            "print(isolation.strongest(), isolation.why_no_bubblewrap())"
        )
        command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if "unshare failed" in done.stderr:
            pytest.skip("nobody may make a user namespace here")
        assert done.returncode == 0, done.stderr
        level, _, why = done.stdout.partition(" ")
        assert level != "bubblewrap"
        assert "does not work: 'bwrap: " in why
        assert "user.max_user_namespaces is 0: allow them with `sudo sysctl -w user.max_us" in why

    def test_there_is_none_if_it_works(self):
        """There is no refusal if bubblewrap works."""
        if isolation.strongest() == "bubblewrap":
            assert isolation.why_no_bubblewrap() == ""
        assert isolation.weakness("bubblewrap", "auto") == ""
        assert isolation.weakness("none", "auto") == ""


class TestEnvironment:
    def test_a_submission_sees_what_is_on_the_list(self, monkeypatch):
        """A submission gets only the listed variables, its threads, home and mark."""
        monkeypatch.setenv("SECRET", "x")
        monkeypatch.setenv("PYTHONPATH", "x")
        for level in ("bubblewrap", "uid", "process"):
            seen = isolation.environment(level, 3, "abc")
            assert not {"SECRET", "PYTHONPATH"} & set(seen)
            assert seen[process_tree.MARK] == "abc"
            assert seen["HOME"] == "/tmp"
            assert {seen[name] for name in isolation.THREAD_VARIABLES} == {"3"}

    def test_a_trusted_implementation_sees_ours(self, monkeypatch):
        """A trusted implementation gets our variables, without those that make warnings errors."""
        monkeypatch.setenv("MINE", "x")
        monkeypatch.setenv("PYTHONWARNINGS", "error")
        seen = isolation.environment("none", 1, "abc")
        assert seen["MINE"] == "x"
        assert "PYTHONWARNINGS" not in seen

    @pytest.mark.parametrize("level", ["none", "bubblewrap", "uid", "process"])
    def test_programs_that_a_library_installs_are_found(self, monkeypatch, level):
        """Programs beside the interpreter are first on the PATH, once."""
        monkeypatch.setenv("PATH", "/nowhere")
        seen = isolation.environment(level, 1, "abc")["PATH"].split(os.pathsep)
        assert seen[-1] == "/nowhere"
        assert seen[0] == str(Path(sys.executable).parent)
        monkeypatch.setenv("PATH", os.pathsep.join(["/first", *seen]))
        again = isolation.environment(level, 1, "abc")["PATH"].split(os.pathsep)
        assert again == ["/first", *seen]

    def test_a_folder_of_programs_that_the_sandbox_does_not_show_is_left_out(
        self, monkeypatch, tmp_path
    ):
        """Folders that the sandbox hides are removed from the PATH."""
        mine = tmp_path / "bin"
        mine.mkdir()
        monkeypatch.setattr(isolation.interpreter.sysconfig, "get_path", lambda *_args: str(mine))
        assert str(mine) in isolation.environment("none", 1, "abc")["PATH"]
        assert str(mine) not in isolation.environment("bubblewrap", 1, "abc")["PATH"]


class TestBubblewrap:
    @pytest.fixture(autouse=True)
    def _installed(self):
        if not shutil.which("bwrap"):
            pytest.skip("bubblewrap is not installed")

    def run(self, code, *readable):
        command = isolation.bubblewrap([sys.executable, "-P", "-c", code], list(readable))
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=isolation.environment("bubblewrap", 1, "test"),
        )
        return done.stdout.strip()

    def test_what_is_readable_is_read_only(self, tmp_path):
        """A shown file is read-only, and its neighbours are hidden."""
        (tmp_path / "mine.py").write_text("hello")
        (tmp_path / "other.py").write_text("x")
        path = str(tmp_path / "mine.py")
        code = (
            "import os; p = %r; print(open(p).read(), os.listdir(os.path.dirname(p)), "
            "os.access(p, os.W_OK))"
        )
        assert self.run(code % path, path) == "hello ['mine.py'] False"

    def test_programs_of_the_interpreter_can_be_run(self, monkeypatch):
        """Programs beside the interpreter can be run."""
        monkeypatch.setenv("PATH", str(Path(shutil.which("bwrap")).parent))
        program = Path(sys.executable).name
        code = (
            "import shutil, subprocess\n"
            f"print(shutil.which({program!r}), subprocess.call([{program!r}, '-c', '']))"
        )
        assert self.run(code) == f"{Path(sys.executable).parent / program} 0"

    def test_a_link_is_not_shown(self, tmp_path):
        """A link in a submission is hidden, and so is its target."""
        (tmp_path / "secret").write_text("x")
        (tmp_path / "mine.py").symlink_to(tmp_path / "secret")
        path = str(tmp_path / "mine.py")
        assert self.run(f"import os; print(os.path.lexists({path!r}))", path) == "False"

    def test_the_packaged_datasets_are_hidden(self):
        """Packaged datasets are hidden, since they hold their truth."""
        assert list(Path(isolation.HIDDEN).glob("*.hdf5"))
        assert self.run(f"import os; print(os.listdir({isolation.HIDDEN!r}))") == "[]"

    def test_a_package_without_datasets_is_no_trouble(self, monkeypatch):
        """A package without datasets works, as in a container on Modal."""
        monkeypatch.setattr(isolation, "HIDDEN", f"{isolation.PACKAGE}/nothing-there")
        assert self.run("print('started')") == "started"

    def test_the_system_is_there_to_compute_with(self):
        """numpy, a temporary folder and the processor are available."""
        code = "import numpy, tempfile; print(numpy.ones(3).sum(), tempfile.gettempdir())"
        assert self.run(code) == "3.0 /tmp"


class TestUnusedUser:
    def test_is_an_unused_id(self):
        """The chosen user id is in the reserved range, and is not root's, ours or nobody's."""
        uid = isolation.unused_user()
        assert uid in isolation.USERS
        assert uid not in {os.getuid(), 0, isolation.NOBODY}


class TestConfinement:
    def run(self, code, level):
        text = (
            f"from pytest_annmodal.worker.confinement import confine\nprint(confine({level!r}))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", text + code],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def test_a_trusted_worker_keeps_all_calls(self):
        """A trusted worker keeps all system calls."""
        code = "import os; os.close(os.memfd_create('x')); print('kept')"
        assert self.run(code, "none") == ["False", "kept"]

    @pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
    @pytest.mark.parametrize("level", ["bubblewrap", "process"])
    def test_network_sockets_are_refused(self, level):
        """Socket pairs are allowed, Unix sockets only inside bubblewrap, network sockets never."""
        code = (
            "import socket\nsocket.socketpair()\n"
            "for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):\n"
            "    try: socket.socket(family); print('made')\n"
            "    except PermissionError: print('refused')"
        )
        expected = "made" if level == "bubblewrap" else "refused"
        assert self.run(code, level) == ["True", expected, "refused", "refused"]

    @pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
    def test_setting_the_affinity_changes_nothing(self):
        """Setting the affinity changes nothing and raises nothing."""
        cores = sorted(os.sched_getaffinity(0))
        code = f"import os\nos.sched_setaffinity(0, {{{cores[0]}}})\nprint(len(os.sched_getaffinity(0)))"
        assert self.run(code, "bubblewrap")[-1] == str(len(cores))

    def test_a_machine_of_another_kind_has_no_filter(self, monkeypatch):
        """On other processors there is no filter, since their calls have other numbers."""
        monkeypatch.setattr(confinement.platform, "machine", lambda: "riscv64")
        assert not confinement.filter_calls(families=())

    @pytest.mark.parametrize("column", [0, 1])
    def test_the_program_is_whole(self, column):
        """The filter's instructions have eight bytes, valid jumps and a return."""
        program = confinement.program_of(column, 1, families=(1, 2))
        steps = list(confinement.struct.iter_unpack("=HBBI", program))
        assert steps[-1][0] == confinement.RETURN
        for at, (code, yes, no, _) in enumerate(steps):
            if code in {confinement.EQUAL, confinement.AT_LEAST}:
                assert at + 1 + max(yes, no) < len(steps)
