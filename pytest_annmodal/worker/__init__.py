"""The process that holds an implementation, and the timed loops in it.

It stands alone: the standard library, numpy, and ``errors`` of this package.
"""
