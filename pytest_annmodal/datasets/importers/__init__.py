"""Imports files of vectors in other formats into the HDF5 layout."""
