"""Where jobs run: one module per place."""
