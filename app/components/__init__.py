"""Streamlit components (version 2): token heat map, answer cards, image compare. They draw text as text only."""
