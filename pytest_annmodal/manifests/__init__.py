"""Implementations known from their text: headers, classes, ann-benchmarks folders."""
