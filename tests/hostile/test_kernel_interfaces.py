"""Uses the kernel: settings, namespaces, keys, unusual system calls."""

from witnesses import measured, said


def test_no_setting_can_be_opened_for_writing(attack, strict):
    """No setting can be opened for writing, even if the grader is root (``O_WRONLY`` only: nothing is written)."""
    body = """
        def fit(self, X):
            import json
            super().fit(X)
            writable = []
            for top in [name for name in os.listdir("/proc") if not name.isdecimal()]:
                if os.path.islink("/proc/" + top): continue
                files = [top] if os.path.isfile("/proc/" + top) else [
                    os.path.relpath(os.path.join(folder, name), "/proc")
                    for folder, _, names in os.walk("/proc/" + top) for name in names]
                for name in files:
                    if os.access("/proc/" + name, os.W_OK): writable.append(name)
            print(json.dumps(writable[:20]))
    """
    assert said(measured(attack(body)[0])) == []


def test_calls_that_an_index_has_no_use_for(attack, level):
    """A filter refuses system calls that no index needs, for its children too."""
    body = """
        def fit(self, X):
            import json
            super().fit(X)
            libc = ctypes.CDLL(None, use_errno=True)
            x86 = os.uname().machine == "x86_64"
            calls = {"unshare": 272 if x86 else 97, "keyctl": 250 if x86 else 219,
                "bpf": 321 if x86 else 280, "io_uring_setup": 425, "userfaultfd": 323 if x86 else 282,
                "perf_event_open": 298 if x86 else 241, "mount": 165 if x86 else 40, "setns": 308 if x86 else 268}
            done = [name for name, number in calls.items() if libc.syscall(number, 0x10000000, 0, 0, 0, 0) != -1]
            done += [name for name, number in calls.items() if ctypes.get_errno() != 1]
            child = subprocess.run(["/bin/grep", "Seccomp:", "/proc/self/status"], capture_output=True, text=True)
            print(json.dumps([done, child.stdout.split()[-1]]))
    """
    assert said(measured(attack(body, level=level)[0])) == [[], "2"]


def test_memory_that_is_shared_and_has_no_name(attack, level):
    """Shared memory without a name is refused; with a file's name it counts."""
    body = """
        def fit(self, X):
            import json, mmap, tempfile
            super().fit(X)
            libc, refused = ctypes.CDLL(None, use_errno=True), []
            for flags in (0x21, 0x23, 0x4021, 0x40021, 0x40023):
                libc.mmap(None, 4096, 3, flags, -1, 0)
                refused.append(ctypes.get_errno())
            with tempfile.TemporaryFile() as file:
                file.truncate(4096)
                mmap.mmap(file.fileno(), 4096)[0] = 1
            mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)[0] = 1
            print(json.dumps([refused, os.path.exists("/dev/zero")]))
    """
    assert said(measured(attack(body, level=level)[0])) == [[1] * 5, level == "process"]


def test_terminals(attack, level):
    """Terminals are refused: kernel threads copy what is written, on the clock's core."""
    body = """
        def fit(self, X):
            import json
            super().fit(X)
            try: os.openpty()
            except OSError: print(json.dumps(sorted(os.listdir("/dev"))))
    """
    devices = said(measured(attack(body, level=level)[0]))
    if level == "strict":
        there = {"fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom"}
        assert set(devices) == there


def test_it_has_no_rights(attack, strict):
    """It has no capability and no user id of a person."""
    body = """
        def fit(self, X):
            import json
            super().fit(X)
            status = dict(line.split(":", 1) for line in open("/proc/self/status"))
            rights = {int(status["Cap" + name], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
            print(json.dumps([sorted(rights), int(status["NoNewPrivs"]), os.getuid()]))
    """
    assert said(measured(attack(body)[0])) == [[0], 1, 65534]
