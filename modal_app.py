"""Benchmark on Modal without pytest.

    modal run modal_app.py --impl student --dataset gist-960-euclidean
    modal run modal_app.py --impl student --dataset gist-960-euclidean --compare annoy --k 10
    modal run modal_app.py --download-only --dataset nytimes-256-angular
    modal run modal_app.py --help

Results are printed and written to ``annmodal-results/`` as JSON.
"""

import sys
from pathlib import Path

from pytest_annmodal import Command

# Reads and checks the command line: when `modal run` calls main(), the app is open already.
command = Command.from_command_line(sys.argv, Path(__file__))
app = command.app
download_dataset = command.cloud.download
run_benchmark = next(iter(command.cloud.runners.values()))


@app.local_entrypoint()
def main(*arguments: str) -> None:
    """Measure on a dataset, or only download it into the volume; see --help."""
    sys.exit(command.main(arguments))
