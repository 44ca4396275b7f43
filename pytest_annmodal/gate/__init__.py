"""Is a candidate worse than its baseline? A verdict that is wrong once in a hundred, or none.

``statistics`` and ``recalls`` are pure functions: intervals from a few sessions, recall from hits
by query. ``verdict`` makes findings of them. ``points`` says at which settings speed is compared,
``race`` asks real workers what a ``contest`` wants to know, ``gate``
repeats that until all is decided. See docs/regressions.md.
"""
