"""Replies that the splitter's patterns were not written for: other programs, other wording, other order of lines."""

from tests.unit.message.replies import Reply

_TOP = "Yes, ten is fine for us.\nSee you there."
_OLD = "OLDTEXT can you make it at ten?"
_INTRODUCTIONS = {
    "mutt": "On Mon, Jul 01, 2024 at 10:00:00AM +0200, Kim Lee wrote:",
    "thunderbird-de": "Am 01.07.24 um 10:00 schrieb Kim Lee:",
    "thunderbird-en": "On 7/1/24 10:00, Kim Lee wrote:",
    "thunderbird-fr": "Le 01/07/2024 à 10:00, Kim Lee a écrit :",
    "thunderbird-es": "El 1/7/24 a las 10:00, Kim Lee escribió:",
    "thunderbird-it": "Il 01/07/2024 10:00, Kim Lee ha scritto:",
    "thunderbird-nl": "Op 01-07-2024 om 10:00 schreef Kim Lee:",
    "thunderbird-pl": "W dniu 1.07.2024 o 10:00, Kim Lee pisze:",
    "thunderbird-ru": "01.07.2024 10:00, Kim Lee пишет:",
    "thunderbird-cs": "Dne 01. 07. 24 v 10:00 Kim Lee napsal(a):",
    "thunderbird-fi": "Kim Lee kirjoitti 1.7.2024 klo 10.00:",
    "thunderbird-ja": "On 2024/07/01 10:00, Kim Lee wrote:",
    "roundcube": "On 2024-07-01 10:00, Kim Lee wrote:",
    "roundcube-de": "Am 2024-07-01 10:00, schrieb Kim Lee:",
    "kmail": "On Monday, 1 July 2024 10:00:00 CEST Kim Lee wrote:",
    "proton": "On Monday, July 1st, 2024 at 10:00, Kim Lee <kim@post.example> wrote:",
    "proton-old": "On Monday, July 1st, 2024 at 10:00 AM, <kim@post.example> wrote:",
    "fastmail": "On Mon, 1 Jul 2024, at 10:00 AM, Kim Lee wrote:",
    "outlook-mac": 'On 7/1/24, 10:00 AM, "Kim Lee" <kim@post.example> wrote:',
    "mailru": "Понедельник, 1 июля 2024, 10:00 +03:00 от Kim Lee <kim@post.example>:",
    "yandex": '01.07.2024, 10:00, "Kim Lee" <kim@post.example>:',
    "spark": "On Jul 1, 2024 at 10:00 AM +0200, Kim Lee <kim@post.example>, wrote:",
    "yahoo": "On Monday, July 1, 2024 at 10:00:00 AM GMT+2, Kim Lee <kim@post.example> wrote:",
    "yahoo-de": "Am Montag, 1. Juli 2024 um 10:00:00 MESZ hat Kim Lee <kim@post.example> Folgendes geschrieben:",
    "yahoo-fr": "Le lundi 1 juillet 2024 à 10:00:00 UTC+2, Kim Lee <kim@post.example> a écrit :",
    "yahoo-es": "En lunes, 1 de julio de 2024, 10:00:00 CEST, Kim Lee <kim@post.example> escribió:",
    "gmail-pt-pt": "Kim Lee <kim@post.example> escreveu (segunda, 1/07/2024 à(s) 10:00):",
    "gmail-old-en": "2024-07-01 10:00 GMT+02:00 Kim Lee <kim@post.example>:",
    "gmail-zh-tw": "Kim Lee <kim@post.example> 於 2024年7月1日 週一 上午10:00寫道：",
    "nokia": "Kim Lee <kim@post.example> wrote on Mon, 1 Jul 2024 10:00:",
    "gnus": "Kim Lee <kim@post.example> writes:",
}
_BLOCKS = {
    "zimbra": '----- Original Message -----\nFrom: "Kim Lee" <kim@post.example>\nTo: "Ben" <ben@x.example>\nSent: Monday\nSubject: Ten',
    "samsung-de": "-------- Ursprüngliche Nachricht --------\nVon: Kim Lee <kim@post.example>\nDatum: 01.07.24 10:00 (GMT+01:00)\n"
    "An: ben@x.example\nBetreff: Zehn",
    "samsung-en": "-------- Original message --------\nFrom: Kim Lee <kim@post.example>\nDate: 7/1/24 10:00 AM (GMT+01:00)\n"
    "To: ben@x.example\nSubject: Ten",
    "outlook-cc": "From: Lee, Kim <kim@post.example>\nSent: Monday, July 1, 2024 10:00 AM\nTo: Ben <ben@x.example>; Ana <ana@y.example>\n"
    "Cc: Max\nSubject: RE: Ten",
    "outlook-importance": "From: Kim Lee <kim@post.example>\nSent: Monday, July 1, 2024 10:00 AM\nTo: Ben\nSubject: Ten\n"
    "Importance: High",
    "outlook-de-bold": "*Von:* Kim Lee <kim@post.example>\n*Gesendet:* Montag, 1. Juli 2024 10:00\n*An:* Ben\n*Cc:* Ana\n*Betreff:* Zehn",
    "outlook-fr-nbsp": "De\xa0: Kim Lee <kim@post.example>\nEnvoyé\xa0: lundi 1 juillet 2024 10:00\nÀ\xa0: Ben\nObjet\xa0: Dix",
    "outlook-ch": "Von: Kim Lee [mailto:kim@post.example]\nGesendet: Montag, 1. Juli 2024 10:00\nAn: Ben\nBetreff: Zehn",
    "gmx": 'Gesendet: Montag, 01. Juli 2024 um 10:00 Uhr\nVon: "Kim Lee" <kim@post.example>\nAn: ben@x.example\nBetreff: Zehn',
    "notes": 'From:   "Kim Lee" <kim@post.example>\nTo:     <ben@x.example>\nDate:   01/07/2024 10:00\nSubject:        Ten',
    "apple-forward-de": "Anfang der weitergeleiteten Nachricht:\n\nVon: Kim Lee <kim@post.example>\nBetreff: Zehn\nDatum: 1. Juli 2024\nAn: Ben",
    "thunderbird-forward": "-------- Forwarded Message --------\nSubject: Ten\nDate: Mon, 1 Jul 2024\nFrom: Kim Lee <kim@post.example>\nTo: b@x.example",
    "thunderbird-forward-de": "-------- Weitergeleitete Nachricht --------\nBetreff: Zehn\nDatum: Mon, 1 Jul 2024\nVon: Kim <kim@post.example>",
    "ja-forward": "---------- Forwarded message ---------\nFrom: Kim Lee <kim@post.example>\nDate: 2024年7月1日(月) 10:00\nSubject: Ten",
    "line-of-equals": "===== Original Message =====\nFrom: Kim Lee <kim@post.example>\nSubject: Ten",
}
_HTML = {
    "outlook-com-old": '<div dir="ltr">{new}<div><hr id="stopSpelling">Date: Mon, 1 Jul<br>From: kim@post.example<br>To: ben@x.example<br>'
    "Subject: Ten<br><br>{old}</div></div>",
    "zoho": '<div>{new}</div><div class="zmail_extra" style="">---- On Mon Kim Lee &lt;kim@post.example&gt; wrote ----<br>{old}</div>',
    "front": '<div>{new}</div><br>On July 1, 2024 at 10:00 AM GMT+2 <a href="mailto:kim@post.example">kim@post.example</a> wrote:<br>'
    '<blockquote class="front-blockquote">{old}</blockquote>',
    "zimbra-html": '<div>{new}</div><hr id="zwchr"><div><b>From: </b>"Kim" &lt;kim@post.example&gt;<br><b>Sent: </b>Monday</div>{old}',
    "roundcube-html": '<p>{new}</p><p id="reply-intro">On 2024-07-01 10:00, Kim Lee wrote:</p><blockquote type="cite">{old}</blockquote>',
    "gmail-mobile": '<div dir="auto">{new}</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">On Mon, Jul 1,'
    ' 2024, 10:00 Kim Lee &lt;kim@post.example&gt; wrote:<br></div><blockquote class="gmail_quote" style="margin:0">{old}</blockquote></div>',
    "apple-signature": '<div>{new}</div><br id="lineBreakAtBeginningOfSignature"><div dir="ltr">Sent from my iPad</div><div dir="ltr"><br>'
    '<blockquote type="cite">On 1 Jul 2024, at 10:00, Kim wrote:<br><br></blockquote></div><blockquote type="cite"><div>{old}</div></blockquote>',
    "outlook-b5c4df": '<div class="WordSection1"><p>{new}</p><div style="border:none;border-top:solid #B5C4DF 1.0pt;padding:3.0pt"><p><b>From:</b>'
    " Kim Lee<br><b>Sent:</b> Monday<br><b>To:</b> Ben<br><b>Subject:</b> Ten</p></div><p>{old}</p></div>",
    "superhuman": '<div>{new}</div><br><div><div class="gmail_quote">On Mon, Jul 1, 2024 at 10:00 AM, Kim Lee <span>&lt;<a href="mailto:k@x.example">'
    'k@x.example</a>&gt;</span> wrote:<br><blockquote class="gmail_quote">{old}</blockquote></div></div>',
    "hey": "<div>{new}</div><div>On July 1, 2024, Kim Lee &lt;kim@post.example&gt; wrote:</div><blockquote>{old}</blockquote>",
}
_KEPT = {
    "invoice": "Invoice from: ACME\nInvoice date: 1 July 2024\nSubject: service\nTotal: 12 EUR\nPlease pay.",
    "story": "Then Kim wrote on the board:\nNever give up.\nWe liked that.",
    "agenda": "Agenda for 1 July 2024, 10:00:\nWelcome\nNumbers\nClose",
    "contact": "Please contact kim@post.example:\nshe knows.",
    "quote-of-book": 'As Goethe wrote in 1808:\n"Habe nun, ach"\nThat is all.',
    "code": "Run this:\n--no-cache\n-- comment of SQL\nselect 1;\n" + "line\n" * 12,
    "phone": "My new phone arrived. Sent from my old office was the box, though.\n" + "More text.\n" * 13,
    "von": "Von: Bern nach Basel\nAn: Freitag\nBetreff: Reise",
    "sql": "select a\nfrom: b\nwhere c: d\nto: e",
}

HELD_BACK = (
    *(
        Reply(f"held-{name}-quoted", f"{_TOP}\n\n{line}\n\n> {_OLD}\n> more\n", None, (_TOP,), ("OLDTEXT", line))
        for name, line in _INTRODUCTIONS.items()
    ),
    *(
        Reply(f"held-{name}-bare", f"{_TOP}\n\n{line}\n\n{_OLD}\nmore\n", None, (_TOP,), ("OLDTEXT", line))
        for name, line in _INTRODUCTIONS.items()
        if name != "gnus"
    ),
    *(Reply(f"held-{name}", f"{_TOP}\n\n{block}\n\n{_OLD}\n", None, (_TOP,)) for name, block in _BLOCKS.items()),
    *(
        Reply(f"held-{name}-html", None, html.format(new="Yes, ten is fine.", old=_OLD), ("Yes, ten is fine.",))
        for name, html in _HTML.items()
    ),
    *(Reply(f"held-{name}-kept", text, None, (text.strip(),), ()) for name, text in _KEPT.items()),
)  # fmt: skip
