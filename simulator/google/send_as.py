"""Gmail's settings of the addresses that an account may send from."""

from simulator.google.errors import api_error
from simulator.google.gmail import AUTH, FULL, USER, boolean_of, mailbox_of
from simulator.http import JSON, Call, Operations, Reply
from simulator.mailboxes.gmail import GmailMailbox

_READ = (*FULL, f"{AUTH}gmail.settings.basic")
_WRITE = (f"{AUTH}gmail.settings.basic", f"{AUTH}gmail.settings.sharing")
_CHANGED = ("displayName", "replyToAddress", "signature", "treatAsAlias")
_IGNORED = ("sendAsEmail", "isPrimary", "verificationStatus")
ACCEPTED, PENDING = "accepted", "pending"


class SendAs:
    """The sendAs resource; addresses are added by the control API, as only administrators' applications may."""

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table; units as in the quota table of new projects."""
        add, many = operations.add, f"{USER}/settings/sendAs"
        add("gmail.send_as.list", "GET", many, self.list, scopes=_READ, units=1)
        add("gmail.send_as.get", "GET", f"{many}/{{alias}}", self.get, scopes=_READ, units=1)
        add("gmail.send_as.patch", "PATCH", f"{many}/{{alias}}", self.change, scopes=_WRITE, units=5)
        add("gmail.send_as.update", "PUT", f"{many}/{{alias}}", self.change, scopes=_WRITE, units=5)
        add("gmail.send_as.create", "POST", many, self.refuse, scopes=_WRITE, units=5)
        add("gmail.send_as.delete", "DELETE", f"{many}/{{alias}}", self.refuse, scopes=_WRITE, units=5)
        add("gmail.send_as.verify", "POST", f"{many}/{{alias}}/verify", self.refuse, scopes=_WRITE, units=5)

    def list(self, call: Call) -> Reply:
        """Return all addresses, the account's own first."""
        mailbox = mailbox_of(call)
        return Reply(200, {"sendAs": [_shown(mailbox, one) for one in (mailbox.address, *mailbox.aliases)]})

    def get(self, call: Call) -> Reply:
        """Return one address."""
        return Reply(200, _shown(mailbox_of(call), _alias(call)))

    def change(self, call: Call) -> Reply:
        """Change how an address is shown, or make it the one that is used by default."""
        mailbox, alias, body = mailbox_of(call), _alias(call), call.fields((*_CHANGED, *_IGNORED, "isDefault"))
        if "isDefault" in body:
            if not boolean_of(body, "isDefault"):
                raise api_error(400, "invalidArgument", "Invalid value for isDefault: only true can be written.")
            mailbox.default_alias = alias
        mailbox.alias_settings.setdefault(alias, {}).update({name: body[name] for name in _CHANGED if name in body})
        return Reply(200, _shown(mailbox, alias))

    def refuse(self, _call: Call) -> Reply:
        """Refuse what is left to service accounts with authority over the whole domain."""
        message = "Access restricted to service accounts that have been delegated domain-wide authority"
        raise api_error(403, "forbidden", message)


def _alias(call: Call) -> str:
    mailbox, name = mailbox_of(call), call.params["alias"].lower()
    found = next((one for one in (mailbox.address, *mailbox.aliases) if one.lower() == name), "")
    if not found:
        raise api_error(404, "notFound", "Requested entity was not found.")
    return found


def _shown(mailbox: GmailMailbox, alias: str) -> JSON:
    is_primary = alias == mailbox.address
    shown: JSON = {"sendAsEmail": alias, "displayName": "", "replyToAddress": "", "signature": ""}
    shown |= {"isDefault": alias == mailbox.sends_from()} if alias == mailbox.sends_from() else {}
    shown |= {"isPrimary": True} if is_primary else {"verificationStatus": mailbox.aliases[alias], "treatAsAlias": True}
    return {**shown, **mailbox.alias_settings.get(alias, {})}
