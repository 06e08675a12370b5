"""Numbers and examples as files for papers, spreadsheets and other tools."""
