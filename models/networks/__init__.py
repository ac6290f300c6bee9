"""Backbone and head as one network, to be trained further or written for other programs."""
