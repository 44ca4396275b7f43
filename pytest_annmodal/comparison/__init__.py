"""A fair comparison on an unfair machine: a submission against a baseline, side by side.

``schedule`` says who is asked when, ``bout`` what one session gave, ``intervals`` and ``verdict``
what several allow one to say, ``levels`` how speeds at different recalls are compared; these know
no processes. ``session`` builds and asks, ``compare`` repeats sessions until all is decided.
See docs/measurement.md.
"""
