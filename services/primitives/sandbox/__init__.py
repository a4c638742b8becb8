"""The processes without rights in which content is read."""
