"""Compares a submission with a baseline, asked in turn on the same core.

``schedule`` has the order of asking and the result of one session, ``intervals`` and ``verdict``
conclude from several sessions; these are pure functions. ``interleaving`` builds and asks in one
session, ``compare`` repeats sessions until all is decided. See docs/measurement.md.
"""
