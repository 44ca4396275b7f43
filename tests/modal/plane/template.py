"""A process that has imported the client, from which containers are forked.

`python -S -P -B -u template.py SITE SOCKET_FD`. Importing the client takes a second of CPU time, which is
most of what a container would cost. This process does that once, outside of every container, and
forks when it is asked to; what it has imported by then is what every container has: the client.
It belongs to nobody's process tree and ends, with all containers, when the other end of its socket
is closed.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import site
import socket
import sys
from pathlib import Path
from typing import NoReturn

sys.path.append(os.path.dirname(__file__))  # noqa: PTH120 - last, since its site.py is another
import enter

sys.path.pop()
CLIENT = "modal._container_entrypoint"


def import_client(folder: str) -> None:
    """Import what a container's main module imports, from this site-packages directory."""
    sys.path.append(folder)
    importlib.import_module(CLIENT)
    del sys.modules[CLIENT]  # it is run in each container
    sys.path.pop()
    gc.collect()
    gc.freeze()


def run_here(spec: dict[str, object], path: list[str]) -> NoReturn:
    """Be the main process of a container: `python -m` of its main module, as if just started."""
    import runpy

    env, argv = spec["env"], spec["argv"]
    assert isinstance(env, dict)
    assert isinstance(argv, list)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:] = [str(Path.cwd()), *env["PYTHONPATH"].split(os.pathsep), *path]
    sys.path_importer_cache.clear()
    site.main()
    sys.argv = ["-m"]
    runpy.run_module(argv[-1], run_name="__main__", alter_sys=True)
    sys.exit(0)


def fork(control: socket.socket, message: bytes, fds: list[int], path: list[str]) -> int:
    """Fork what becomes the outer process of a container; its pid."""
    child = os.fork()
    if child == 0:
        control.detach()
        become_container(message.decode(), fds, path)
    return child


def become_container(spec: str, fds: list[int], path: list[str]) -> NoReturn:
    out, err, status = fds
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.dup2(status, 3)
    os.closerange(4, 1024)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    enter.main(spec, 3, lambda given: run_here(given, path))


def serve(control: socket.socket, path: list[str]) -> None:
    """Forks when asked, and reports how each fork ended, until the socket closes."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == control.fileno():
                message, fds, _, _ = socket.recv_fds(control, 4096, 3)
                if not message:
                    return
                child = fork(control, message, fds, path)
                os.write(fds[2], f"outer {child}\n".encode())
                os.close(fds[0])
                os.close(fds[1])
                pidfd = os.pidfd_open(child)
                running[pidfd] = child, fds[2]
                poll.register(pidfd, select.POLLIN)
            else:
                child, status = running.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                _, state = os.waitpid(child, 0)
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, f"exit {os.waitstatus_to_exitcode(state)}\n".encode())
                os.close(status)


def main() -> None:
    folder, fd = sys.argv[1], int(sys.argv[2])
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    path = list(sys.path)
    import_client(folder)
    with socket.socket(fileno=fd) as control:
        serve(control, path)


if __name__ == "__main__":
    main()
