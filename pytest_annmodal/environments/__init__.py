"""Environments: the interpreter and packages that ``NAME@SPEC`` runs with."""
