"""Pictures: where they come from, how bytes become pixels, what a file tells by itself."""
