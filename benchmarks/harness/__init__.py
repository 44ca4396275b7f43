"""The benchmark of the harness itself: ``python -m benchmarks.harness`` in a checkout."""
