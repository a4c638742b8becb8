"""Reading mail at the provider for a caller: fresh mails, and content of any size in bounded memory."""
