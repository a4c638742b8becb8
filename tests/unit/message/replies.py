"""Replies written for the splitter: mail programs, languages and the places where people answer.

Each reply is a text or an HTML body, its new text and the words that must not be in it. The lines of the programs are
theirs; the words around them are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

NEW, SECOND = "Das passt gut, danke. Ωmega ja.", "Second answer, 第二."
OLD, OLDER = "OLDTEXT shall we meet at ten", "OLDERTEXT the offer is attached"


@dataclass(frozen=True)
class Reply:
    """One reply.

    Args:
        name: Program, language and place.
        text: The plain text, or None.
        html: The HTML, or None.
        new: The pieces of new text, in order.
        old: Words that are no new text.
    """

    name: str
    text: str | None
    html: str | None
    new: tuple[str, ...]
    old: tuple[str, ...] = ("OLDTEXT",)


GMAIL = {
    "cs": "po 1. 7. 2024 v 10:00 odesílatel Kim Lee <kim@post.example> napsal:",
    "da": "Den man. 1. jul. 2024 kl. 10.00 skrev Kim Lee <kim@post.example>:",
    "de": "Am Mo., 1. Juli 2024 um 10:00 Uhr schrieb Kim Lee <kim@post.example>:",
    "en": "On Mon, Jul 1, 2024 at 10:00 AM Kim Lee <kim@post.example> wrote:",
    "es": "El lun, 1 jul 2024 a las 10:00, Kim Lee (<kim@post.example>) escribió:",
    "fi": "ma 1. heinäk. 2024 klo 10.00 Kim Lee (kim@post.example) kirjoitti:",
    "fr": "Le lun. 1 juil. 2024 à 10:00, Kim Lee <kim@post.example> a écrit :",
    "it": "Il giorno lun 1 lug 2024 alle ore 10:00 Kim Lee <kim@post.example> ha scritto:",
    "ja": "2024年7月1日(月) 10:00 Kim Lee <kim@post.example>:",
    "ko": "2024년 7월 1일 (월) 오전 10:00, Kim Lee <kim@post.example>님이 작성:",
    "nb": "man. 1. juli 2024 kl. 10:00 skrev Kim Lee <kim@post.example>:",
    "nl": "Op ma 1 jul 2024 om 10:00 schreef Kim Lee <kim@post.example>:",
    "pl": "pon., 1 lip 2024 o 10:00 Kim Lee <kim@post.example> napisał(a):",
    "pt": "Em seg., 1 de jul. de 2024 às 10:00, Kim Lee <kim@post.example> escreveu:",
    "ru": "пн, 1 июл. 2024 г. в 10:00, Kim Lee <kim@post.example>:",
    "sv": "Den mån 1 juli 2024 kl 10:00 skrev Kim Lee <kim@post.example>:",
    "tr": "Kim Lee <kim@post.example>, 1 Tem 2024 Pzt, 10:00 tarihinde şunu yazdı:",
    "uk": "пн, 1 лип. 2024 р. о 10:00 Kim Lee <kim@post.example> пише:",
    "zh": "Kim Lee <kim@post.example> 于2024年7月1日周一 10:00写道：",
}
APPLE = {
    "cs": "1. 7. 2024 v 10:00, Kim Lee <kim@post.example>:", "da": "Den 1. jul. 2024 kl. 10.00 skrev Kim Lee <kim@post.example>:",
    "de": "Am 01.07.2024 um 10:00 schrieb Kim Lee <kim@post.example>:",
    "en": "On 1 Jul 2024, at 10:00, Kim Lee <kim@post.example> wrote:",
    "es": "El 1 jul 2024, a las 10:00, Kim Lee <kim@post.example> escribió:",
    "fi": "Kim Lee <kim@post.example> kirjoitti 1.7.2024 kello 10.00:",
    "fr": "Le 1 juil. 2024 à 10:00, Kim Lee <kim@post.example> a écrit :",
    "it": "Il giorno 1 lug 2024, alle ore 10:00, Kim Lee <kim@post.example> ha scritto:",
    "ja": "2024/07/01 10:00、Kim Lee <kim@post.example>のメール:", "ko": "2024. 7. 1. 오전 10:00, Kim Lee <kim@post.example> 작성:",
    "nb": "1. juli 2024 kl. 10:00 skrev Kim Lee <kim@post.example>:",
    "nl": "Op 1 jul 2024, om 10:00 heeft Kim Lee <kim@post.example> het volgende geschreven:",
    "pl": "Wiadomość napisana przez Kim Lee <kim@post.example> w dniu 1 lip 2024, o godz. 10:00:",
    "pt": "No dia 1 de jul. de 2024, às 10:00, Kim Lee <kim@post.example> escreveu:",
    "ru": "1 июля 2024 г., в 10:00, Kim Lee <kim@post.example> написал(а):",
    "sv": "1 juli 2024 kl. 10:00 skrev Kim Lee <kim@post.example>:",
    "tr": "Kim Lee <kim@post.example> şunları yazdı (1 Tem 2024 10:00):", "uk": "1 лип. 2024 р. о 10:00 Kim Lee <kim@post.example> написав:",
    "zh": "2024年7月1日 10:00，Kim Lee <kim@post.example> 写道：",
}  # fmt: skip
OUTLOOK = {
    "cs": ("Od", "Odesláno", "Komu", "Předmět"), "da": ("Fra", "Sendt", "Til", "Emne"),
    "de": ("Von", "Gesendet", "An", "Betreff"), "en": ("From", "Sent", "To", "Subject"),
    "es": ("De", "Enviado", "Para", "Asunto"), "fi": ("Lähettäjä", "Lähetetty", "Vastaanottaja", "Aihe"),
    "fr": ("De", "Envoyé", "À", "Objet"), "it": ("Da", "Inviato", "A", "Oggetto"),
    "ja": ("差出人", "送信日時", "宛先", "件名"), "ko": ("보낸 사람", "보낸 날짜", "받는 사람", "제목"),
    "nb": ("Fra", "Sendt", "Til", "Emne"), "nl": ("Van", "Verzonden", "Aan", "Onderwerp"),
    "pl": ("Od", "Wysłano", "Do", "Temat"), "pt": ("De", "Enviado", "Para", "Assunto"),
    "ru": ("От", "Отправлено", "Кому", "Тема"), "sv": ("Från", "Skickat", "Till", "Ämne"),
    "tr": ("Kimden", "Gönderildi", "Kime", "Konu"), "uk": ("Від", "Надіслано", "Кому", "Тема"),
    "zh": ("发件人", "发送时间", "收件人", "主题"),
}  # fmt: skip
ORIGINAL = {
    "cs": "Původní zpráva", "da": "Oprindelig meddelelse", "de": "Ursprüngliche Nachricht", "en": "Original Message",
    "es": "Mensaje original", "fi": "Alkuperäinen viesti", "fr": "Message d'origine", "it": "Messaggio originale",
    "ja": "元のメッセージ", "ko": "원본 메시지", "nb": "Opprinnelig melding", "nl": "Oorspronkelijk bericht",
    "pl": "Wiadomość oryginalna", "pt": "Mensagem original", "ru": "Исходное сообщение", "sv": "Ursprungligt meddelande",
    "tr": "Orijinal İleti", "uk": "Вихідне повідомлення", "zh": "原始邮件",
}  # fmt: skip
PHONES = {
    "cs": "Odesláno z iPhonu", "da": "Sendt fra min iPhone", "de": "Von meinem iPhone gesendet", "en": "Sent from my iPhone",
    "es": "Enviado desde mi iPhone", "fi": "Lähetetty iPhonesta", "fr": "Envoyé de mon iPhone", "it": "Inviato da iPhone",
    "ja": "iPhoneから送信", "ko": "나의 iPhone에서 보냄", "nb": "Sendt fra min iPhone", "nl": "Verstuurd vanaf mijn iPhone",
    "pl": "Wysłane z iPhone'a", "pt": "Enviado do meu iPhone", "ru": "Отправлено с iPhone", "sv": "Skickat från min iPhone",
    "tr": "iPhone'umdan gönderildi", "uk": "Надіслано з iPhone", "zh": "发自我的iPhone",
}  # fmt: skip
FORWARDED = {
    "de": "---------- Weitergeleitete Nachricht ---------", "en": "---------- Forwarded message ---------",
    "fr": "---------- Message transféré ---------", "es": "---------- Mensaje reenviado ---------",
    "it": "---------- Messaggio inoltrato ---------", "nl": "---------- Doorgestuurd bericht ---------",
    "pl": "---------- Wiadomość przekazana ---------", "sv": "---------- Vidarebefordrat meddelande ---------",
}  # fmt: skip


def _quoted(*lines: str) -> str:
    return "\n".join(f"> {line}" if line else ">" for line in lines)


def _block(labels: tuple[str, ...], *, bold: bool = False) -> str:
    values = ("Kim Lee <kim@post.example>", "1 July 2024 10:00", "Ben <ben@x.example>", "Re: Offer")
    star = "*" if bold else ""
    return "\n".join(f"{star}{label}:{star} {value}" for label, value in zip(labels, values, strict=True))


def _texts() -> Iterator[Reply]:
    for code, line in GMAIL.items():
        quote = _quoted(OLD, "", OLDER)
        yield Reply(f"gmail-{code}-top", f"{NEW}\n\n{line}\n\n{quote}\n", None, (NEW,), ("OLDTEXT", "kim@post"))
        yield Reply(f"gmail-{code}-bottom", f"{line}\n{quote}\n\n{NEW}\n", None, (NEW,), ("OLDTEXT", "kim@post"))
        yield Reply(
            f"gmail-{code}-inline",
            f"{line}\n> {OLD}\n{NEW}\n> {OLDER}\n{SECOND}\n",
            None,
            (NEW, SECOND),
            ("OLDTEXT", "kim@post"),
        )
    for code, line in APPLE.items():
        phone = PHONES[code]
        yield Reply(
            f"apple-{code}-phone",
            f"{NEW}\n\n{phone}\n\n{line}\n\n{_quoted(OLD)}\n",
            None,
            (NEW,),
            ("OLDTEXT", phone, "kim@post"),
        )
        yield Reply(
            f"apple-{code}-plain", f"{NEW}\n\n{line}\n\n{OLD}\n\n{OLDER}", None, (NEW,), ("OLDTEXT", "kim@post")
        )
    for code, labels in OUTLOOK.items():
        yield Reply(
            f"outlook-{code}-block", f"{NEW}\n\n{_block(labels)}\n\n{OLD}\n", None, (NEW,), ("OLDTEXT", "kim@post")
        )
        yield Reply(
            f"outlook-{code}-rule",
            f"{NEW}\n\n{'_' * 32}\n{_block(labels, bold=True)}\n\n{OLD}\n",
            None,
            (NEW,),
            ("OLDTEXT", "kim@post"),
        )
        yield Reply(
            f"outlook-{code}-original", f"{NEW}\n\n-----{ORIGINAL[code]}-----\n{_block(labels)}\n\n{OLD}\n", None, (NEW,),
            ("OLDTEXT", ORIGINAL[code]),
        )  # fmt: skip
    for code, line in FORWARDED.items():
        yield Reply(f"forward-{code}", f"{NEW}\n\n{line}\n{_block(OUTLOOK[code])}\n\n{OLD}\n", None, (NEW,))


def _htmls() -> Iterator[Reply]:
    for code in ("de", "en", "fr", "ja", "ru", "tr", "zh"):
        line = GMAIL[code].replace("<", "&lt;").replace(">", "&gt;")
        attr = f'<div dir="ltr" class="gmail_attr">{line}<br></div>'
        quote = f'<blockquote class="gmail_quote" style="margin:0 0 0 .8ex"><div>{OLD}</div></blockquote>'
        yield Reply(
            f"gmail-{code}-html", None, f'<div dir="ltr">{NEW}</div><br><div class="gmail_quote">{attr}{quote}</div>', (NEW,),
            ("OLDTEXT", "kim@post"),
        )  # fmt: skip
        yield Reply(
            f"gmail-{code}-html-bottom", None, f'<div class="gmail_quote">{attr}{quote}</div><div dir="ltr">{NEW}</div>', (NEW,),
            ("OLDTEXT", "kim@post"),
        )  # fmt: skip
        cite = '<blockquote type="cite" cite="mid:1@x">'
        yield Reply(
            f"thunderbird-{code}-html-inline", None,
            f'<div class="moz-cite-prefix">{line}</div>{cite}<p>{OLD}</p></blockquote><p>{NEW}</p>{cite}<p>{OLDER}</p></blockquote>'
            f"<p>{SECOND}</p>", (NEW, SECOND), ("OLDTEXT", "kim@post"),
        )  # fmt: skip
        rows = "".join(f"<b>{label}:</b> value {label}<br>" for label in OUTLOOK[code])
        yield Reply(
            f"outlook-{code}-new-html", None,
            f'<div class="elementToProof">{NEW}</div><div id="appendonsend"></div><hr style="display:inline-block;width:98%">'
            f'<div id="divRplyFwdMsg" dir="ltr"><font>{rows}</font></div><div>{OLD}</div>', (NEW,),
        )  # fmt: skip
        yield Reply(
            f"outlook-{code}-desktop-html", None,
            f'<div class="WordSection1"><p class="MsoNormal">{NEW}</p><div><div style="border:none;border-top:solid #E1E1E1 1.0pt;'
            f'padding:3.0pt 0cm 0cm 0cm"><p class="MsoNormal">{rows}</p></div></div><p>{OLD}</p></div>', (NEW,),
        )  # fmt: skip
        yield Reply(
            f"outlook-{code}-mobile-html", None,
            f'<div dir="ltr">{NEW}</div><div id="ms-outlook-mobile-signature">{PHONES[code]}</div>'
            f'<div id="mail-editor-reference-message-container"><div>{rows}</div><div>{OLD}</div></div>', (NEW,),
            ("OLDTEXT", PHONES[code]),
        )  # fmt: skip
        apple = APPLE[code].replace("<", "&lt;").replace(">", "&gt;")
        yield Reply(
            f"apple-{code}-html", None,
            f'{NEW}<br><div><br><blockquote type="cite"><div>{apple}</div><br><div>{OLD}</div></blockquote></div>', (NEW,),
            ("OLDTEXT", "kim@post"),
        )  # fmt: skip
    yield Reply(
        "yahoo-html",
        None,
        f'<div>{NEW}</div><div id="yahoo_quoted_1" class="yahoo_quoted"><div>On Monday, Kim wrote:</div><div>{OLD}</div></div>',
        (NEW,),
    )
    yield Reply(
        "proton-html",
        None,
        f'<div>{NEW}</div><div class="protonmail_quote">On Monday, Kim wrote:<br><blockquote type="cite">{OLD}</blockquote></div>',
        (NEW,),
    )
    yield Reply(
        "gmx-html", None, f'<div>{NEW}</div><div name="quote"><div>Gesendet: Montag</div><div>{OLD}</div></div>', (NEW,)
    )


def _traps() -> Iterator[Reply]:
    kept = (
        ("data", "Please set:\nFrom: Oslo\nTo: Bergen\nDate: 3 July\nand confirm."),
        ("greeting", "Best regards from Oslo, we need the report.\n\nIt is late."),
        ("list", "We need:\n- item one\n- item two\nand --verbose."),
        ("on", "On Monday the server was down.\nOn Tuesday too."),
        ("colon", "My colleague said this:\nWe need two.\nAnd on 1 July 2024 Kim wrote a letter. It said:\nYes."),
        ("table", "Subject: maths\nTo: all pupils\nDate: soon"),
        ("sent", "The parcel was sent from my office by mail last week, and nothing has arrived.\nPlease look.\n" + "More.\n" * 14),
        ("dashes", "First\n----------\nSecond\n--- and third ---\nend"),
    )  # fmt: skip
    for name, text in kept:
        yield Reply(
            f"trap-{name}", text, None, tuple(text.split("\n\n")) if name == "greeting" else (text.strip(),), ()
        )
    yield Reply(
        "trap-own-blockquote",
        None,
        f"<p>{NEW}</p><blockquote><p>To be or not</p></blockquote><p>{SECOND}</p>",
        (NEW, "To be or not", SECOND),
        (),
    )
    yield Reply("trap-body-in-gmail-quote", None, f'<div class="gmail_quote"><div>{NEW}</div></div>', (NEW,), ())
    yield Reply(
        "wrapped-gmail",
        f"{NEW}\n\nOn Mon, Jul 1, 2024 at 10:00 AM Kim Lee\n<kim.lee.the.third@a-long-name.post.example> wrote:\n\n> {OLD}\n",
        None,
        (NEW,),
        ("OLDTEXT", "Jul 1"),
    )
    yield Reply(
        "wrapped-verb",
        f"{NEW}\n\nOn Mon, Jul 1, 2024 at 10:00 AM Kim Lee <kim@post.example>\nwrote:\n\n> {OLD}\n",
        None,
        (NEW,),
        ("OLDTEXT", "Jul 1"),
    )
    yield Reply("signature", f"{NEW}\n\n-- \nKim Lee\nPost Ltd\n", None, (NEW,), ("Post Ltd",))
    yield Reply(
        "signature-and-quote",
        f"{NEW}\n\n-- \nKim Lee\n\n{GMAIL['en']}\n> {OLD}\n",
        None,
        (NEW,),
        ("OLDTEXT", "Kim Lee\n"),
    )
    yield Reply("only-quote", f"{GMAIL['en']}\n> {OLD}\n", None, (), ("OLDTEXT",))
    yield Reply(
        "apple-forward", f"{NEW}\n\nBegin forwarded message:\n\n{_block(OUTLOOK['en'])}\n\n{OLD}\n", None, (NEW,)
    )
    yield Reply(
        "outlook-without-address",
        f"{NEW}\n\nFrom: Kim Lee\nSent: Monday, July 1, 2024 10:00\nTo: Ben\nSubject: Offer\n\n{OLD}",
        None,
        (NEW,),
    )


REPLIES = (*_texts(), *_htmls(), *_traps())
