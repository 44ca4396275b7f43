"""Metrics, their distances, and exact nearest neighbours."""
