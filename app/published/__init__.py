"""Published tables, as CSV files; `cache/published.py` reads them."""
