"""What a search left in its folder, and what follows from it."""
