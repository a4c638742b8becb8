"""The certificates for whose keys Graph encrypts resource data: made, sealed, replaced, kept while they are used."""
