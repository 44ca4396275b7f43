"""Brings a dataset's file from the package, a generator, a file, or a URL."""
