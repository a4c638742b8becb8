"""The mail of both providers as data: folders and delta logs at Microsoft, labels and history at Google."""
