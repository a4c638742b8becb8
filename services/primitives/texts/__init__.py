"""Texts of mails to labels."""
