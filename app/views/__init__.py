"""The pages, one script each, run by Streamlit's navigation."""
