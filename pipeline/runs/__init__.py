"""What is known of a run: what its head sees of a picture, how it is named and chosen."""
