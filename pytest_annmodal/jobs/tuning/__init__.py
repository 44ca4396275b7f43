"""Finds the setting that reaches a wanted recall."""
