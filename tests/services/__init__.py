"""Services over HTTPS: the base, and each connector against what nobody here wrote."""
