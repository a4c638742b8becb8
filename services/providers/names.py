"""The names of the providers, as the contract has them in every field `provider`."""

from collections.abc import Mapping
from typing import Final

MS365: Final = "ms365"
"""Microsoft 365, by Microsoft Graph."""
GOOGLEWS: Final = "googlews"
"""Google Workspace, by the Gmail API."""

PRODUCTS: Mapping[str, str] = {MS365: "Microsoft 365", GOOGLEWS: "Google Workspace"}
"""The names of the products, for texts that people read."""
COMPANIES: Mapping[str, str] = {MS365: "Microsoft", GOOGLEWS: "Google"}
"""The names of the companies, for texts that people read."""
