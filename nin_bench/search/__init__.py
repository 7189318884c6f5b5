"""Learning-rate studies, and any field's of the recipe: the same budget for every variant."""
