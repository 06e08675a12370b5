"""The frame around every page: the script that Streamlit runs, navigation, the sidebar, status.

Not beside `pages`: Streamlit would take that folder for pages of its own, and tell the first visitor of a page that
there is none.
"""
