"""The demo study: its data, its recipe, its pack."""
