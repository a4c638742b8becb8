"""The edge: Envoy's configuration, and the small program that fills in the settings of an installation."""
