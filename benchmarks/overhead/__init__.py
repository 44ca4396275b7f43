"""The benchmark of the harness itself: ``python -m benchmarks.overhead`` in a checkout."""
