"""Files that are not yet in the HDF5 layout."""
