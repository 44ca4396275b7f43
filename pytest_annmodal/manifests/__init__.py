"""Reads implementations from their text, without importing them."""
