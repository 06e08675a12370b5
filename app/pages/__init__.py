"""The pages, a folder each. They never import each other."""
