"""A run: every accuracy, the frontier, successes, what is done and left."""
