"""Distances of the field, and exact neighbours by them."""
