"""Datasets: their names, their files, and the way from a source into the volume."""
