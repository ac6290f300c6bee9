"""Stage two: heads learn from stored features."""
