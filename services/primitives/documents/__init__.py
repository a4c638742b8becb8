"""Documents to text. The readers run in processes without rights, which a document may break."""
