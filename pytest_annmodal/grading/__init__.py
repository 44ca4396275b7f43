"""From measured cases to grades: rules, scores, a journal that survives, and what is handed out.

Imported only when ``--ann-grade`` is given.
"""
