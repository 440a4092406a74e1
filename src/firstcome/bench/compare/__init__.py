"""Engines side by side: the runs, the rows of the report, its pages."""
