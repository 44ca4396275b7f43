"""The parent's side of a worker: start it shut in, watch it, end it, say how it died."""
