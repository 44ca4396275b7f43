"""Benchmark approximate-nearest-neighbour search from pytest, here or on Modal's cloud."""

__version__ = "0.1.0"
