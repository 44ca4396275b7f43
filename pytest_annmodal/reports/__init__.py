"""What a session prints: tables, progress, failures."""
