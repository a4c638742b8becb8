"""Text as strangers write it: markup, turned direction, marks without width, controls."""

ELEMENTS = (
    "<img src=https://attacker.example/p.png onerror=alert(1)><script>alert(1)</script><style>*{position:fixed}</style>"
)
MARKUP = f"{ELEMENTS}\u202egpj.exe\u2066\u200b\x07"
