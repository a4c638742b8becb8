"""The edge: Envoy's configuration, and the small program that fills in what differs between installations."""
