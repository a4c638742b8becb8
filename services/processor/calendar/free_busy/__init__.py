"""The free and busy times of people, asked at the providers."""
