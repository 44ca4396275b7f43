# /// script
# dependencies = ["numpy"]
# [tool.annmodal]
# metrics = ["euclidean"]
# build.stall_ms = [0, 100]
# ///
"""An exact search that answers after half a millisecond, and stalls once a second.

Of docs/load.md: what a stall does to users, in an open loop and in a closed one.
"""

import time

import numpy as np

ANSWER_S = 0.0005
EVERY_S = 1.0


class Stalls:
    def __init__(self, metric, stall_ms):
        self.stall_s = stall_ms / 1e3

    def fit(self, X):
        self.X = X
        self.squares = (X**2).sum(axis=1) / 2
        self.stalled_at = time.perf_counter()

    def query(self, v, k):
        start = time.perf_counter()
        scores = self.squares - self.X @ v
        near = np.argpartition(scores, k)[:k]
        end = start + ANSWER_S
        if self.stall_s and start - self.stalled_at > EVERY_S:
            self.stalled_at = start
            end = start + self.stall_s
        while time.perf_counter() < end:
            pass
        return near[np.argsort(scores[near])]
