"""Pictures of stored results: one page that opens offline, and image files for papers."""
