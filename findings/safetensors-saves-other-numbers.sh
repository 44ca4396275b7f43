#!/usr/bin/env bash
# safetensors 0.8.0, saving a numpy array that does not lie in C order (a transpose, every second column).
# One would think: what is loaded equals what was saved, or saving raises.
# What happens: the bytes are written as they lie in memory under the shape of the view: other numbers, no error.
# Seen: transpose equal: False    column slice equal: False    copy in C order equal: True
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 safetensors==0.8.0 <<'PY'
import numpy as np
from safetensors.numpy import load_file, save_file

rows = np.arange(12, dtype="f4").reshape(3, 4)
equal = {}
for name, view in (("transpose", rows.T), ("column slice", rows[:, ::2]), ("copy in C order", rows.T.copy())):
    save_file({"x": view}, "x.safetensors")
    equal[name] = np.array_equal(load_file("x.safetensors")["x"], view)
    print(name, "equal:", equal[name])
assert equal == {"transpose": False, "column slice": False, "copy in C order": True}
PY
