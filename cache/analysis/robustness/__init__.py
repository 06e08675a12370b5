"""What models still know when they are asked hard: attacks as derived studies, and what they recover."""
