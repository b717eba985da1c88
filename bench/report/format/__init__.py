"""Numbers, names and tables as texts: cells, Markdown, LaTeX."""
