#!/usr/bin/env bash
# pynndescent 0.7.0 (numba 0.68.1), a tiny index built in two processes that share a compile cache.
# One would think: with NUMBA_CACHE_DIR set, the second process compiles nothing.
# What happens: the import and prepare() come from the cache, the constructor compiles its functions again in
# every process: tens of seconds that a benchmark counts as build time, though a second index takes 50 ms.
# Seen (s, on a shared machine; constructor of the first and second index of a process):
#   first process  48.7 0.02
#   second process 46.6 0.03
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 numba==0.68.1 pynndescent==0.7.0 <<'PY'
import os, subprocess, sys

if "NUMBA_CACHE_DIR" not in os.environ:
    for _process in range(2):
        subprocess.run([sys.executable, *sys.argv], env={**os.environ, "NUMBA_CACHE_DIR": "cache"}, check=True)
    sys.exit()
import time, numpy as np, pynndescent

rows, seconds = np.random.default_rng(0).standard_normal((500, 16)).astype("f4"), []
for _index in range(2):
    start = time.perf_counter()
    pynndescent.NNDescent(rows, n_jobs=1, random_state=1)
    seconds.append(time.perf_counter() - start)
print("constructor of the first and second index:", *(f"{s:.2f} s" for s in seconds))
assert seconds[0] > 20 * seconds[1]
PY
