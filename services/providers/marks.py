"""The marks by which mail that mailmesh itself made is found again at the providers."""

GRAPH_SEND = "String {8d3f6d0a-5e0b-4c53-9d0c-6f4b3a1c7e52} Name MailmeshSendId"
"""The id of the extended property whose value is the send's id. Exchange keeps it on our copy and does not carry it to
recipients. A mailbox has a bounded number of property names, so there is one fixed name and never one for each mail."""
GMAIL_SEND = "X-Mailmesh-Send-Id"
"""The header whose value is the send's id. Recipients see it: it proves nothing outside of the sender's own mailbox."""
GRAPH_CALENDAR_WRITE = "String {8d3f6d0a-5e0b-4c53-9d0c-6f4b3a1c7e52} Name MailmeshCalendarWriteId"
"""The extended property of an event that a write made at Graph: its value is the write's id."""
GRAPH_CALENDAR_CHANGE = "String {8d3f6d0a-5e0b-4c53-9d0c-6f4b3a1c7e52} Name MailmeshCalendarChangeId"
"""The extended property of an event that a write changed at Graph: its value is the id of the last such write."""
GOOGLE_CALENDAR_CHANGE = "mailmeshCalendarChangeId"
"""The private extended property of an event that a write changed at Google, as at Graph."""
