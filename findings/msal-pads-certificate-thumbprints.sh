#!/usr/bin/env bash
# Expected: the header parameter `x5t#S256` of a client assertion is base64url without trailing "=" characters.
# Seen:     msal keeps the padding, so a verifier that compares the text with the unpadded form does not find the certificate.
# Versions: msal 1.39.0 (PyPI).
# Source:   RFC 7515, sections 2 and 4.1.8; the output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check msal==1.39.0
venv/bin/python - <<'END'
import base64, hashlib, json, sys
from msal.oauth2cli.assertion import JwtAssertionCreator
from cryptography.hazmat.primitives.asymmetric import rsa

digest = hashlib.sha256(b"a certificate").digest()
key = rsa.generate_private_key(65537, 2048)
made = JwtAssertionCreator(key, "PS256", sha256_thumbprint=digest.hex())
header = made.create_normal_assertion("https://idp.example/token", "client", "client").decode().split(".")[0]
found = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["x5t#S256"]
expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
print(f"expected {expected}\nfound    {found}")
sys.exit(0 if found == expected + "=" else 1)
END
