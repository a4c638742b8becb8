"""The Microsoft identity platform and Microsoft Graph."""
