"""What is to be thought of runs: controls, differences, costs, flags, and the verdict."""
