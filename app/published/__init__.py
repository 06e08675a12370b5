"""Published tables, as CSV files; `cache/analysis/published.py` reads them."""
