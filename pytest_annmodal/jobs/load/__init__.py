"""Measures an implementation under load: queries at a rate, or from several clients at once."""
