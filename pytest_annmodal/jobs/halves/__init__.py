"""A job in two halves, asking and scoring, for a worker that must not see the truth."""
