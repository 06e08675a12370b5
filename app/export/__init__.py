"""A study as one HTML page, and as a data frame in a notebook."""
