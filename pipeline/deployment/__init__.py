"""A run at work: it predicts, and it becomes a model that other programs run."""
