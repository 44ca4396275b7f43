"""The options: one table of them, and the Settings that they make."""
