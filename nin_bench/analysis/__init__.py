"""Everything that follows from a results folder by computing. It shows nothing; `report` does."""
