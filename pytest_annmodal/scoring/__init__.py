"""Exact neighbours, recall and the other figures computed from answers and times."""
