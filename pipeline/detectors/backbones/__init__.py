"""One architecture a file, each of four stages whose features are compared. Names are in registry.py."""
