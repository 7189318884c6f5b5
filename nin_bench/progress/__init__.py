"""Show on screen what a run, a measuring or a search tells while it lasts.

`run` and `search` are imported by whom they are for: planning a run must not wait for what searches are made of.
"""
