"""Jobs on Modal: the client's side, and what runs in its containers."""
