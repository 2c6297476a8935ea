"""Files from package indexes and addresses, by hash, into a cache. Uses work."""
