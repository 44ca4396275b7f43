"""The volume: a directory of checked dataset files, and how a dataset gets into it."""
