"""Stage three: layers of the backbone are trained further."""
