"""A fair comparison on an unfair machine: a submission against a baseline, side by side.

``schedule`` says who is asked when, ``intervals`` and ``verdict`` what the figures allow one to
say, ``levels`` how speeds at different recalls are compared; these four know no processes.
``session`` builds and asks, ``compare`` repeats sessions until all is decided.
See docs/measurement.md.
"""
