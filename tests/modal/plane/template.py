"""A process that has imported the client, from which containers are forked.

`python -S -P -B -u template.py SITE SOCKET_FD`. Importing the client takes a second of CPU time, which is
most of what a container would cost. This process does that once, outside of every container, and
forks when it is asked to; what it has imported by then is what every container has: the client.
It belongs to nobody's process tree and ends, with all containers, when the other end of its socket
is closed (`fork_server.py`).
"""

import gc
import importlib
import os
import site
import socket
import sys
from pathlib import Path
from typing import NoReturn

sys.path.append(str(Path(__file__).parent))  # last, since its site.py is another
sys.path.append(str(Path(__file__).parents[2]))
import enter
import fork_server

del sys.path[-2:]
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


def main() -> None:
    folder, fd = sys.argv[1], int(sys.argv[2])
    fork_server.leave_the_tree()
    path = list(sys.path)
    import_client(folder)
    spec, fds = fork_server.serve(socket.socket(fileno=fd))
    fork_server.stand_alone(dict(enumerate(fds, 1)))
    enter.main(spec.decode(), 3, lambda given: run_here(given, path))


if __name__ == "__main__":
    main()
