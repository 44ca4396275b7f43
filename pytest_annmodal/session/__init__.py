"""One session's state: what is selected, planned, available, and started."""
