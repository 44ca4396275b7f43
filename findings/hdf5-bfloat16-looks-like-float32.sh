#!/usr/bin/env bash
# h5py 3.16.0, a dataset of a two-byte float type (bfloat16: sign, 8 bits of exponent, 7 of mantissa).
# One would think: a dataset whose dtype is <f4 and whose bytes lie in one piece can be mapped as float32.
# What happens: HDF5 has the type, numpy has not; h5py reports <f4 and converts while reading. The stored
# bytes are two a value, so a map of them as float32 shows other numbers and ends beyond the data.
# Seen: dtype float32, 8 values, 16 bytes stored (32 expected)
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 h5py==3.16.0 <<'PY'
import h5py, numpy as np

values = np.arange(8, dtype="f4")
kind = h5py.h5t.IEEE_F32LE.copy()
kind.set_fields(15, 7, 8, 0, 7)
kind.set_precision(16)
kind.set_size(2)
with h5py.File("a.hdf5", "w") as file:
    h5py.h5d.create(file.id, b"train", kind, h5py.h5s.create_simple((8,))).write(h5py.h5s.ALL, h5py.h5s.ALL, values)
with h5py.File("a.hdf5") as file:
    train = file["train"]
    stored = train.id.get_storage_size()
    print("dtype", train.dtype.name, len(train), "values", stored, "bytes stored", train.nbytes, "expected")
    assert train.dtype == np.float32 and np.array_equal(train[:], values) and train.id.get_offset()
    assert stored == 16 and train.nbytes == 32
PY
