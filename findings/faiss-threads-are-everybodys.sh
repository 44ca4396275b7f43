#!/usr/bin/env bash
# faiss-cpu 1.15.1 and scikit-learn 1.9.1 in one process; faiss.omp_set_num_threads(1).
# One would think: it holds for faiss, in the whole process.
# What happens: both wheels share one libgomp, so it holds for scikit-learn too; and it is a setting of the
# calling thread only, so faiss called from another Python thread has all cores again.
# Seen: libgomp files loaded 1; threads of that pool 2 -> 1; faiss in another thread 2
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 faiss-cpu==1.15.1 scikit-learn==1.9.1 threadpoolctl==3.8.0 <<'PY'
import os, sys

if os.environ.get("OMP_NUM_THREADS") != "2":  # two, whatever the machine has
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "2"})
import threading, faiss
import sklearn.neighbors
from threadpoolctl import threadpool_info

pool = lambda: [p["num_threads"] for p in threadpool_info() if p["prefix"] == "libgomp"]
before = pool()
faiss.omp_set_num_threads(1)
after, other = pool(), []
thread = threading.Thread(target=lambda: other.append(faiss.omp_get_max_threads()))
thread.start()
thread.join()
print("libgomp files loaded", len(before), "threads of that pool", *before, "->", *after, "in another thread", *other)
assert (before, after, other) == ([2], [1], [2])
PY
