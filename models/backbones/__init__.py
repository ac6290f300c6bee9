"""Pre-trained networks: their records, their weights, and where they are tapped."""
