"""Becomes a container, in a process that was forked for it; standard library only.

Three processes: this one stays outside and hands on the exit status; its child is PID 1 of the
container's process namespace, lays out the file system and reaps; the grandchild becomes the
container's main process. When any of them or the one that forked them dies, the kernel kills all
that runs in the namespace.
"""

import ctypes
import json
import os
import platform
import signal
from collections.abc import Callable
from typing import Any, NoReturn

MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x20000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
PR_SET_PDEATHSIG = 1
MNT_DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SETUP_FAILED = 125

libc = ctypes.CDLL(None, use_errno=True)

Run = Callable[[dict[str, Any]], NoReturn]


def check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    encoded = kind.encode() if kind else None
    check(
        libc.mount(source.encode(), target.encode(), encoded, ctypes.c_ulong(flags), None),
        f"mount {target}",
    )


def bind(source: str, target: str, *, read_only: bool) -> None:
    # A user namespace may not leave out what is mounted inside the source.
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        mount("none", target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | locked_flags(target))


def locked_flags(target: str) -> int:
    """Flags that a user namespace may not drop when it remounts."""
    flags = os.statvfs(target).f_flag
    kept = {os.ST_NOSUID: MS_NOSUID, os.ST_NODEV: 4, os.ST_NOEXEC: 8}
    return sum(ms for st, ms in kept.items() if flags & st)


def die_with_parent() -> None:
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def enter_namespaces(spec: dict[str, Any]) -> None:
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC
    if not spec["network"]:
        flags |= CLONE_NEWNET
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        flags |= CLONE_NEWUSER
    check(libc.unshare(flags), "unshare")
    if user != 0:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"0 {user} 1"),
            ("gid_map", f"0 {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - importing pathlib takes time
                file.write(text)


def lay_out(spec: dict[str, Any]) -> None:
    root = spec["root"]
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    bind(root, root, read_only=False)
    for source, target, read_only in spec["binds"]:
        bind(source, root + target, read_only=read_only)
    bind("/dev", root + "/dev", read_only=False)
    mount("tmpfs", root + "/dev/shm", "tmpfs", 0)
    try:
        mount("proc", root + "/proc", "proc", 0)
    except OSError:
        # Some hosts forbid a new procfs in a user namespace.
        bind("/proc", root + "/proc", read_only=False)
    os.chdir(root)
    check(libc.syscall(PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    check(libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def run_main(spec: dict[str, Any], host_proc: int, status: int, run: Run) -> NoReturn:
    # Only the host's procfs tells the pid by which the plane can signal this process.
    pid = os.readlink("self", dir_fd=host_proc)
    os.write(status, f"pid {pid}\n".encode())
    os.close(host_proc)
    os.close(status)
    os.chdir(spec["cwd"])
    run(spec)


def reap_until(main: int) -> NoReturn:
    while True:
        pid, state = os.wait()
        if pid == main:
            code = os.waitstatus_to_exitcode(state)
            os._exit(code if code >= 0 else 128 - code)


def init(spec: dict[str, Any], status: int, run: Run) -> NoReturn:
    try:
        die_with_parent()
        host_proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        lay_out(spec)
        main = os.fork()
    except BaseException as error:
        os.write(2, f"container set-up failed: {error!r}\n".encode())
        os._exit(SETUP_FAILED)
    if main == 0:
        run_main(spec, host_proc, status, run)
    os.close(host_proc)
    os.close(status)
    reap_until(main)


def main(path: str, status: int, run: Run) -> NoReturn:
    """Run a specification: the main process by `run` in a namespace, as a program elsewhere."""
    with open(path) as file:  # noqa: PTH123 - the same
        spec = json.load(file)
    os.set_inheritable(status, False)
    die_with_parent()
    if not spec["namespaces"]:
        os.write(status, f"pid {os.getpid()}\n".encode())
        os.chdir(spec["cwd"])
        os.execve(spec["argv"][0], spec["argv"], spec["env"])
    enter_namespaces(spec)
    child = os.fork()
    if child == 0:
        init(spec, status, run)
    os.close(status)
    _, state = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(state)
    os._exit(code if code >= 0 else 128 - code)
