"""Train one network, and tell how well it does."""
