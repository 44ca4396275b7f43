"""What this machine can be trusted with, before any benchmark: ``annmodal doctor``."""
