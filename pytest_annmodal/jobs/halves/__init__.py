"""A job in two halves: questions and answers apart, for a worker that must not see the truth."""
