"""The commands: options in, answers out; each is a thin shell over a function of this package."""
