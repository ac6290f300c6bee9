"""The report: a table for the terminal, a page, Markdown, CSV and JSON."""
