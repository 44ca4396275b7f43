"""Stores measurements: rows, keys, the store, the journal."""
