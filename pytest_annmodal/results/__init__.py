"""What a measurement becomes when it is kept: rows, keys, the journal."""
