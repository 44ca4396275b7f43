"""Rewrites its own file, the package, numpy, or leaves bytecode for the next worker."""
