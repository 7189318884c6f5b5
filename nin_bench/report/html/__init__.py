"""The report as one HTML file: report.md's own text, its tables to be sorted, its figures to be asked."""
