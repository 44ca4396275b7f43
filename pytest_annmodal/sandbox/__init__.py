"""The parent's side of a worker: starts it isolated, watches it, ends it, reports its end."""
