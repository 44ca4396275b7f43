"""What a session prints: tables, progress, failures in words."""
