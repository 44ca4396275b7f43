"""Grades submissions: rules, scores, a journal, and the output files.

Imported only when ``--ann-grade`` is given.
"""
