#!/usr/bin/env bash
# modal 1.6.4, `modal run app.py --help` for a local entrypoint with a docstring and default values.
# One would think: the help shows the docstring and the defaults, as click's commands do.
# What happens: it lists names and types, sorted by name. No word of the docstring, no default.
# Seen: --flag / --no-flag, --name TEXT, --size INTEGER
source "$(dirname "$0")/in_venv.bash"
in_venv modal==1.6.4 <<'PY'
import pathlib, subprocess

pathlib.Path("app.py").write_text('''
import modal

app = modal.App("example")

@app.local_entrypoint()
def main(size: int = 4711, name: str = "somebody", flag: bool = False):
    """Measure something.

    Args:
        size: how many rows.
    """
''')
done = subprocess.run(["modal", "run", "app.py", "--help"], capture_output=True, text=True, check=True)
print(done.stdout)
assert "--size INTEGER" in done.stdout
assert not any(word in done.stdout for word in ("4711", "somebody", "Measure", "how many"))
PY
