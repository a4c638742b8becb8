"""The services of the mesh and the plumbing that they share."""
