"""How things look: markers and colours of models, colour scales, text made safe to look at. Imports nothing of app."""
