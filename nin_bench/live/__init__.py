"""A run, watched in a browser of this machine while it lasts."""
