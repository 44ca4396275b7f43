"""Pictures of what was measured: one page that opens offline, and files for papers."""
