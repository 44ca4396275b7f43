"""Decides whether a candidate is worse than its baseline, with an error rate of one in a hundred.

``statistics`` and ``recalls`` are pure functions: intervals from a few sessions, recall from hits
by query. ``verdict`` turns these into findings. ``points`` chooses the settings at which speed is
compared, ``race`` asks workers for a ``contest`` (the searches of one k), and ``gate`` repeats
sessions until all is decided. See docs/regressions.md.
"""
