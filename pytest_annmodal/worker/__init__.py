"""The process that runs an implementation, with the timed loops."""
