"""pytest's hooks and fixtures."""
