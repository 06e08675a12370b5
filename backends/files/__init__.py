"""Files as such: where they are kept, what may be opened, how they are written whole, digests of them."""
