#!/usr/bin/env bash
# contextlib of Python 3.11, 3.12 and 3.13: a generator with @contextmanager that raises another exception.
# One would think: when both exceptions are gone, so is what the frames below held (files, maps, sockets).
# What happens: from 3.12 on the replaced exception and the frame of __exit__ hold each other, and with them
# every local of the frames below, until the garbage collector runs. A class with __exit__ does not.
# Seen: 3.11.7: a generator keeps it: False, a class keeps it: False
#       3.12.1: a generator keeps it: True, a class keeps it: False
#       3.13.0: a generator keeps it: True, a class keeps it: False
# (It runs with the python3 that is found.)
source "$(dirname "$0")/in_venv.bash"
in_venv pip <<'PY'
import contextlib
import gc
import sys
import weakref


class Thing:
    """A file, a map, a socket."""


@contextlib.contextmanager
def generator():
    try:
        yield
    except ValueError as error:
        raise KeyError("told in other words") from error


class Class:
    def __enter__(self):
        pass

    def __exit__(self, kind, error, trace):
        if isinstance(error, ValueError):
            raise KeyError("told in other words") from error


def keeps(manager):
    seen = []

    def work():
        thing = Thing()
        seen.append(weakref.ref(thing))
        with manager():
            raise ValueError

    with contextlib.suppress(KeyError):
        work()
    return seen[0]() is not None


gc.disable()
found = keeps(generator), keeps(Class)
version = sys.version.split()[0]
print(f"{version}: a generator keeps it: {found[0]}, a class keeps it: {found[1]}")
assert found == (sys.version_info >= (3, 12), False)
PY
