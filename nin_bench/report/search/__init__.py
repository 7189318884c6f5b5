"""The report of a search: which recipe is best for each variant, how easily it was found, and what to doubt."""
