#!/usr/bin/env bash
# h5py 3.16.0 (HDF5 2.0.0), a virtual dataset whose source file is gone, and an external one that is short.
# One would think: reading what is not there raises.
# What happens: both read as the fill value, zero, without an error; a benchmark on them finds "exact" answers.
# Seen: virtual, source gone: zeros    external, file short: zeros    external, file gone: OSError
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 h5py==3.16.0 <<'PY'
import os, h5py, numpy as np

ones = np.ones((10, 4), "f4")
with h5py.File("source.h5", "w") as file:
    file["x"] = ones
layout = h5py.VirtualLayout((10, 4), "f4")
layout[:] = h5py.VirtualSource("source.h5", "x", (10, 4))
with h5py.File("virtual.h5", "w") as file:
    file.create_virtual_dataset("train", layout)
with h5py.File("external.h5", "w") as file:
    file.create_dataset("train", (10, 4), "f4", external=[("raw.bin", 0, ones.nbytes)])
    file["train"][:] = ones
os.remove("source.h5")
os.truncate("raw.bin", ones.nbytes // 2)
with h5py.File("virtual.h5") as file:
    assert not file["train"][:].any()
    print("virtual, source gone: zeros")
with h5py.File("external.h5") as file:
    assert file["train"][:5].all() and not file["train"][5:].any()
    print("external, file short: zeros")
os.remove("raw.bin")
with h5py.File("external.h5") as file:
    try:
        file["train"][:]
    except OSError:
        print("external, file gone: OSError")
    else:
        raise AssertionError("external, file gone: no error")
PY
