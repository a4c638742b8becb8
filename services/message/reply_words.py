"""The words by which mail programs introduce quoted mail, in nineteen languages: data for `reply_split`.

Collected from the texts that Gmail, Outlook, Apple Mail, Thunderbird and Yahoo write. All words are in casefolded form.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """The words of one language.

    Args:
        wrote: Parts of the line above a quote, as in "On Monday, Kim wrote:".
        opening: The beginnings of such a line.
        author: Labels of the author's line in the block above a quote ("From").
        date: Labels of its date.
        to: Labels of its recipients.
        subject: Labels of its subject.
        original: The words that separate a quoted mail, between dashes.
        forwarded: The words that separate a forwarded mail, between dashes or before a colon.
        device: The beginnings of the line that a telephone adds.
    """

    wrote: tuple[str, ...]
    opening: tuple[str, ...]
    author: tuple[str, ...]
    date: tuple[str, ...]
    to: tuple[str, ...]
    subject: tuple[str, ...]
    original: tuple[str, ...]
    forwarded: tuple[str, ...]
    device: tuple[str, ...]


LANGUAGES = {
    "cs": Language(
        ("napsal", "píše"), ("dne ",), ("od", "odesílatel"), ("odesláno", "datum"), ("komu",), ("předmět",),
        ("původní zpráva", "původní e-mail"), ("přeposlaná zpráva", "přeposlaný e-mail", "přesměrovaná zpráva"),
        ("odesláno z", "odesláno ze"),
    ),
    "da": Language(
        ("skrev",), ("den ",), ("fra",), ("sendt", "dato"), ("til",), ("emne",),
        ("oprindelig meddelelse", "original meddelelse"), ("videresendt meddelelse", "videresendt besked"),
        ("sendt fra min", "hent outlook"),
    ),
    "de": Language(
        ("schrieb", "geschrieben"), ("am ",), ("von",), ("gesendet", "datum"), ("an",), ("betreff",),
        ("ursprüngliche nachricht", "originalnachricht", "original-nachricht", "originalmail"),
        ("weitergeleitete nachricht", "anfang der weitergeleiteten nachricht"),
        ("von meinem iphone gesendet", "von meinem ipad gesendet", "gesendet von mail", "gesendet mit",
         "von meinem android", "diese nachricht wurde von meinem", "gesendet von", "outlook für", "holen sie sich outlook"),
    ),
    "en": Language(
        ("wrote", "writes"), ("on ",), ("from",), ("sent", "date"), ("to",), ("subject",),
        ("original message", "original email", "original appointment"), ("forwarded message", "begin forwarded message"),
        ("sent from my ", "sent from mail for", "sent from outlook", "get outlook for", "sent via", "sent from yahoo",
         "sent from proton mail", "sent with"),
    ),
    "es": Language(
        ("escribió", "escribio"), ("el ",), ("de",), ("enviado", "enviado el", "fecha"), ("para",), ("asunto",),
        ("mensaje original",), ("mensaje reenviado", "inicio del mensaje reenviado", "forwarded message"),
        ("enviado desde", "obtener outlook", "enviado con"),
    ),
    "fi": Language(
        ("kirjoitti",), (), ("lähettäjä",), ("lähetetty", "päivämäärä", "päiväys"), ("vastaanottaja",), ("aihe",),
        ("alkuperäinen viesti",), ("välitetty viesti", "edelleenlähetetty viesti"), ("lähetetty", "hanki outlook"),
    ),
    "fr": Language(
        ("a écrit", "écrit"), ("le ",), ("de", "expéditeur"), ("envoyé", "date"), ("à", "destinataire"),
        ("objet", "sujet"), ("message d'origine", "message original", "message d’origine"),
        ("message transféré", "début du message transféré", "message transmis", "message réexpédié"),
        ("envoyé de mon", "envoyé depuis", "télécharger outlook", "obtenez outlook", "envoyé à partir de"),
    ),
    "it": Language(
        ("ha scritto", "scrive", "scritto"), ("il ",), ("da",), ("inviato", "data"), ("a",), ("oggetto",),
        ("messaggio originale", "messaggio originario"),
        ("messaggio inoltrato", "inizio messaggio inoltrato", "messaggio inoltrato da"),
        ("inviato da", "inviato dal", "scarica outlook", "ottieni outlook"),
    ),
    "ja": Language(
        ("のメール", "書きました", "のメッセージ", "wrote", "さんは"), (), ("差出人", "from", "送信元"),
        ("送信日時", "日付", "日時"), ("宛先", "to"), ("件名",), ("元のメッセージ", "オリジナルメッセージ"),
        ("転送されたメッセージ", "転送メッセージ", "転送されたメール"), ("iphoneから送信", "ipadから送信", "から送信"),
    ),
    "ko": Language(
        ("작성", "님이", "썼습니다"), (), ("보낸 사람", "보낸사람", "발신"), ("보낸 날짜", "날짜", "보낸날짜"),
        ("받는 사람", "받는사람", "수신"), ("제목",), ("원본 메시지", "원본 메일"),
        ("전달된 메시지", "전달된 메일", "전달된 이메일"), ("나의 iphone에서 보냄", "내 iphone에서 보냄", "에서 보냄"),
    ),
    "nb": Language(
        ("skrev", "følgende"), ("den ",), ("fra",), ("sendt", "dato"), ("til",), ("emne",),
        ("opprinnelig melding",), ("videresendt melding", "videresendt e-post"), ("sendt fra min", "sendt fra", "få outlook"),
    ),
    "nl": Language(
        ("schreef", "geschreven"), ("op ",), ("van",), ("verzonden", "datum"), ("aan",), ("onderwerp",),
        ("oorspronkelijk bericht", "origineel bericht"), ("doorgestuurd bericht", "begin doorgestuurd bericht"),
        ("verstuurd vanaf mijn", "verzonden vanaf mijn", "outlook voor", "verzonden met", "verstuurd vanaf"),
    ),
    "pl": Language(
        ("napisał", "napisana przez", "pisze"), ("w dniu ", "dnia ", "dnia"), ("od",), ("wysłano", "data"), ("do",), ("temat",),
        ("wiadomość oryginalna", "oryginalna wiadomość"), ("wiadomość przekazana", "przekazana wiadomość", "treść przekazanej wiadomości"),
        ("wysłane z", "wysłano z", "pobierz outlook"),
    ),
    "pt": Language(
        ("escreveu",), ("em ", "no dia "), ("de",), ("enviado", "enviada em", "enviada", "data"), ("para",), ("assunto",),
        ("mensagem original",), ("mensagem encaminhada", "início da mensagem encaminhada", "mensagem reencaminhada"),
        ("enviado do meu", "enviado a partir", "enviado pelo", "obter o outlook", "enviado do"),
    ),
    "ru": Language(
        ("написал", "пишет", "писал"), (), ("от", "от кого", "отправитель"), ("отправлено", "дата"), ("кому",), ("тема",),
        ("исходное сообщение", "оригинальное сообщение"), ("пересылаемое сообщение", "пересланное сообщение", "начало переадресованного сообщения"),
        ("отправлено с", "отправлено из"),
    ),
    "sv": Language(
        ("skrev",), ("den ",), ("från",), ("skickat", "datum"), ("till",), ("ämne",),
        ("ursprungligt meddelande", "originalmeddelande"), ("vidarebefordrat meddelande", "vidarebefordrat brev", "vidarebefordrat mejl"),
        ("skickat från min", "skickat från", "hämta outlook"),
    ),
    "tr": Language(
        ("yazdı", "şunu yazdı", "tarihinde"), (), ("kimden", "gönderen"), ("gönderildi", "tarih", "gönderme tarihi"), ("kime", "alıcı"),
        ("konu",), ("orijinal ileti", "özgün ileti", "orijinal mesaj"), ("iletilen mesaj", "yönlendirilmiş ileti", "iletilmiş ileti", "yönlendirilen ileti"),
        ("iphone'umdan gönderildi", "ipad'imden gönderildi", "iphone’umdan gönderildi"),
    ),
    "uk": Language(
        ("написав", "пише", "писав", "написала"), (), ("від", "від кого", "відправник"), ("надіслано", "дата", "відправлено"), ("кому",), ("тема",),
        ("вихідне повідомлення", "початкове повідомлення", "оригінальне повідомлення"),
        ("пересланий лист", "переслане повідомлення", "переадресоване повідомлення"), ("надіслано з", "відправлено з"),
    ),
    "zh": Language(
        ("写道", "寫道", "写到", "寫到"), ("在", "于", "於"), ("发件人", "寄件者", "寄件人"), ("发送时间", "日期", "寄件日期", "傳送時間", "时间", "時間"),
        ("收件人", "收件者"), ("主题", "主旨", "主題"), ("原始邮件", "原始郵件", "邮件原件"),
        ("转发的邮件", "轉寄的郵件", "转发邮件", "轉寄郵件", "已转发邮件", "轉寄郵件開始"), ("发自我的", "從我的", "从我的", "來自我的", "发自", "傳送自"),
    ),
}  # fmt: skip
