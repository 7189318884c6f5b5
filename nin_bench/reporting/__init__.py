"""What a results folder says: as a page, as data and as pictures. Imports no torch."""
