"""Checks whether this machine gives reliable figures: ``annmodal doctor``."""
