"""Where a dataset comes from: the package, a generator, a file, or an address."""
