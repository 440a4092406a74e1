"""Engines side by side: from all runs of a comparison to the report about them.

report.py                          the entry point: write_report(comparison, folder)
row.py rows.py *_rows.py           every row, listed once: how it is read off a run
readings.py missing.py told.py     means of samples; why a cell has no value; the source's figures
grid.py figures.py                 repetitions taken together, and how numbers are written
verdict.py noise.py finding.py     rules that judge, and how far the figures carry
chapters.py detail.py appendix.py  the report as blocks (blocks.py), with its curves (curves.py)
reader.py words_en.py words_ko.py  the words of a language
page_html.py page_md.py            the pages; html_figures.py draws, assets/ has style and script
"""
