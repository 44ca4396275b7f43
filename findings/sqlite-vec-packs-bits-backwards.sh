#!/usr/bin/env bash
# sqlite-vec 0.1.9, vectors of bits.
# One would think: the bits of a vector lie in its bytes as numpy.packbits, ann-benchmarks' packed
#   files and usearch have them, the first one highest.
# What happens: vec_quantize_binary puts the first one lowest. A column takes both kinds of bytes,
#   and the distances between them are wrong without an error.
# Seen: signs + - - - - - - - give 01, numpy.packbits gives 80, and a vector is 2 bits from itself
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 sqlite-vec==0.1.9 apsw==3.54.1.0 <<'PY'
import apsw
import numpy as np
import sqlite_vec

database = apsw.Connection(":memory:")
database.enable_load_extension(True)
database.load_extension(sqlite_vec.loadable_path())
row = np.array([1, -1, -1, -1, -1, -1, -1, -1], dtype="f4")
ask = "select vec_quantize_binary(?), vec_distance_hamming(vec_quantize_binary(?), vec_bit(?))"
packed = np.packbits(row > 0).tobytes()
((theirs, bits),) = database.execute(ask, (row.tobytes(), row.tobytes(), packed))
print(f"vec_quantize_binary {theirs.hex()}, numpy.packbits {packed.hex()}, distance {bits}")
assert (theirs.hex(), packed.hex(), bits) == ("01", "80", 2)
assert theirs == np.packbits(row > 0, bitorder="little").tobytes()
PY
