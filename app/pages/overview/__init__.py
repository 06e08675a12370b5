"""Overview: the first page. The verdict on every method, with what shows it and what is missing."""
