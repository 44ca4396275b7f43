"""The command ``annmodal``: a module for each subcommand, and ``main`` with their table."""
