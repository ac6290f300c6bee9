"""From a folder or a table to a data set: labels, groups and splits."""
