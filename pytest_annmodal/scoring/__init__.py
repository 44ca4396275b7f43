"""Recall and the other figures that are computed from answers and times."""
