"""Stage one: frozen backbones run once over the pictures that have no features yet, in one process or in many."""
