"""Data that is shipped with the package, and the script that built it."""
