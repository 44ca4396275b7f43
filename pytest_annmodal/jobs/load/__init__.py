"""How an implementation bears load: queries at a rate, or from several clients at once."""
