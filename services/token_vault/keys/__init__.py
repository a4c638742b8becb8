"""Key-encryption keys and data keys: load, check and rotate them, and seal with them."""
