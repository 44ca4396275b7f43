"""From a recall that is wanted to the setting that reaches it."""
