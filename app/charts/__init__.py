"""Plotly figures, built from data frames. No Streamlit here."""
