"""Show how a run, a measuring or a search goes: bars on a terminal, plain lines elsewhere."""
