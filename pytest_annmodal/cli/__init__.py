"""The command ``annmodal``: a module for each subcommand, and ``main`` with the table of them."""
