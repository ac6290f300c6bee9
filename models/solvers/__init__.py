"""The mathematics of the linear heads: every strength and every fold at once."""
