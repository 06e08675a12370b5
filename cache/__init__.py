"""What remembers: evidence, runs and metrics in one file; what is missing and how to compute it. Knows no pages."""
