"""Benchmarks on Modal without pytest: ``modal run modal_app.py``."""
