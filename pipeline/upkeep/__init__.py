"""Care of the store."""
