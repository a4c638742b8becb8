"""People sign in at their own organisation's identity provider; their groups decide their rights."""
