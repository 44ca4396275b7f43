"""Benchmark on Modal without pytest.

    modal run modal_app.py --impl student --dataset gist-960-euclidean
    modal run modal_app.py --impl student --dataset gist-960-euclidean --compare annoy --k 10
    modal run modal_app.py --download-only --dataset nytimes-256-angular

Results are printed and written to ``annmodal-results/`` as JSON.
"""

import sys

from pytest_annmodal.executors.command import Command

command = Command.from_environment()
app = command.app
download_dataset = command.cloud.download
run_benchmark = next(iter(command.cloud.runners.values()))


@app.local_entrypoint()
def main(
    dataset: str = "gist-960-euclidean",
    impl: str = "student",
    compare: str = "",
    k: int = 10,
    subset_size: int = 0,
    download_only: bool = False,
) -> None:
    """Measure IMPL (and COMPARE) on DATASET, or only download it into the volume."""
    if download_only:
        failed = command.download(dataset)
    else:
        names = [impl, *([compare] if compare else [])]
        failed = command.run(dataset, names, k=k, subset=subset_size or None)
    if failed:
        sys.exit(1)
