"""Mails of customers in four languages with their labels, which `classify_messages` measures with."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "invoice": (
        "Please find our invoice attached, payable within 30 days.",
        "The amount on your bill is wrong, you charged us twice.",
        "Anbei unsere Rechnung, zahlbar innerhalb von 30 Tagen.",
    ),
    "cancellation": (
        "I want to cancel my subscription at the end of the month.",
        "Please terminate our contract.",
        "Hiermit kündige ich meinen Vertrag zum nächstmöglichen Termin.",
    ),
    "technical": (
        "The app crashes when I open the settings page.",
        "I cannot log in, the password reset link does not work.",
        "Beim Hochladen erscheint eine Fehlermeldung, nichts geht mehr.",
    ),
    "delivery": (
        "Where is my parcel? It should have arrived last week.",
        "The tracking number shows no movement of my order.",
        "Mein Paket ist noch nicht angekommen, wann wird es geliefert?",
    ),
    "application": (
        "I am applying for the position of developer, my CV is attached.",
        "Is the job you advertised still open?",
        "Ich bewerbe mich auf Ihre Stelle als Buchhalterin, Lebenslauf anbei.",
    ),
    "appointment": (
        "Could we move our meeting to Tuesday at three?",
        "I would like to book an appointment for next week.",
        "Können wir den Termin am Donnerstag verschieben?",
    ),
}
"""The examples of each label, in English and German only."""

MAILS: dict[str, tuple[tuple[str, str], ...]] = {
    "invoice": (
        ("en", "Hi, invoice 2026-118 lists four licences but we only use three. Could you send a corrected one?"),
        ("en", "Our accounts team needs a copy of the October bill with the VAT number on it."),
        ("en", "I paid by bank transfer on Monday, yet I still receive reminders about the outstanding balance."),
        ("de", "Guten Tag, auf der Rechnung vom 3. November fehlt unsere Bestellnummer. Bitte neu ausstellen."),
        ("de", "Sie haben den Betrag doppelt von unserem Konto abgebucht. Wann bekommen wir das Geld zurück?"),
        ("de", "Wir haben eine Mahnung erhalten, obwohl wir längst bezahlt haben."),
        ("fr", "Bonjour, pourriez-vous m'envoyer la facture du mois d'octobre ? Je ne la trouve pas."),
        ("fr", "Le montant prélevé ne correspond pas à votre facture, il y a 40 euros de trop."),
        ("ja", "先月分の請求書をまだ受け取っておりません。再発行をお願いできますでしょうか。"),
        ("ja", "請求金額に誤りがあるようです。お支払い前にご確認ください。"),
    ),
    "cancellation": (
        ("en", "We no longer need the premium plan. Please end it and confirm that no further charges follow."),
        ("en", "How do I close my account? I do not wish to renew when the year is over."),
        ("en", "After two years with you we have decided to leave. Consider this our notice."),
        ("de", "Bitte beenden Sie mein Abonnement, ich brauche es nicht mehr."),
        ("de", "Wir möchten den Wartungsvertrag nicht verlängern und bitten um eine Bestätigung der Kündigung."),
        ("de", "Ich widerrufe meine Mitgliedschaft und möchte mein Konto löschen lassen."),
        ("fr", "Je souhaite résilier mon abonnement à compter du mois prochain."),
        ("fr", "Merci de mettre fin à notre contrat, nous ne le renouvellerons pas."),
        ("ja", "来月末で契約を解約したいので、手続きを教えてください。"),
        ("ja", "定期購読を退会したいです。自動更新を止めてください。"),
    ),
    "technical": (
        ("en", "Since the update the search returns an error 500 every time. Nothing else changed on our side."),
        ("en", "The export to Excel stays empty although the table on the screen has two hundred rows."),
        ("en", "My phone no longer synchronises with the server; it keeps asking for the certificate."),
        ("de", "Nach dem letzten Update startet das Programm nicht mehr, der Bildschirm bleibt schwarz."),
        ("de", "Ich kann mich seit heute früh nicht anmelden, die Seite lädt endlos."),
        ("de", "Der Drucker wird von Ihrer Software nicht erkannt, Treiber habe ich neu installiert."),
        ("fr", "L'application plante dès que j'ouvre une pièce jointe."),
        ("fr", "Impossible de me connecter : le site affiche une erreur de serveur."),
        ("ja", "アプリを起動するとすぐにエラーが表示され、強制終了してしまいます。"),
        ("ja", "ログインできません。パスワードを再設定しても同じエラーが出ます。"),
    ),
    "delivery": (
        ("en", "The courier says the box was handed over on Friday, but nobody here has received anything."),
        ("en", "Two of the five chairs we ordered are missing from the shipment."),
        ("en", "Can you send the order to our branch office instead? It has not left your warehouse yet."),
        ("de", "Die Lieferung kam beschädigt an, der Karton war aufgerissen."),
        ("de", "Laut Sendungsverfolgung liegt meine Bestellung seit acht Tagen im Lager. Was ist da los?"),
        ("de", "Der Paketbote hat niemanden angetroffen, wo kann ich die Ware abholen?"),
        ("fr", "Mon colis devait arriver lundi et je n'ai toujours rien reçu."),
        ("fr", "Le transporteur a livré la commande à la mauvaise adresse."),
        ("ja", "注文した商品がまだ届きません。配送状況を教えてください。"),
        ("ja", "荷物の追跡番号を入力しても何も表示されません。いつ届きますか。"),
    ),
    "application": (
        (
            "en",
            "I read your advertisement for a warehouse manager and would like to be considered. References on request.",
        ),
        ("en", "I graduate next summer and am looking for an internship in your marketing team."),
        ("en", "Attached are my certificates and a short letter for the vacancy in your Dublin office."),
        ("de", "Mit großem Interesse habe ich Ihre Anzeige gelesen. Meine Unterlagen und Zeugnisse liegen bei."),
        ("de", "Bieten Sie im nächsten Jahr Ausbildungsplätze zur Fachinformatikerin an?"),
        ("de", "Ich suche ein Praktikum und würde gern in Ihrer Entwicklung mitarbeiten."),
        ("fr", "Je vous adresse ma candidature au poste de comptable, avec mon CV et une lettre de motivation."),
        ("fr", "Je cherche un stage de six mois dans votre équipe de développement."),
        ("ja", "貴社のエンジニア職に応募いたします。履歴書を添付いたしました。"),
        ("ja", "求人広告を拝見しました。まだ募集は続いていますか。"),
    ),
    "appointment": (
        ("en", "Thursday does not work for me after all. Would Friday morning suit you?"),
        ("en", "Is there a free slot with Dr. Miles before the holidays?"),
        ("en", "Let us have a call about the project, I am available between ten and twelve."),
        ("de", "Leider bin ich am Montag verhindert. Haben Sie am Mittwoch noch etwas frei?"),
        ("de", "Ich möchte einen Beratungstermin in Ihrer Filiale vereinbaren."),
        ("de", "Bitte bestätigen Sie unser Treffen am 12. um 14 Uhr."),
        ("fr", "Pouvons-nous reporter notre rendez-vous à jeudi après-midi ?"),
        ("fr", "Quand seriez-vous disponible pour une réunion la semaine prochaine ?"),
        ("ja", "打ち合わせを来週の火曜日に変更していただけますか。"),
        ("ja", "来週の面談の予約を取りたいのですが、空いている時間はありますか。"),
    ),
}
"""Ten mails of each label: three English, three German, two French, two Japanese."""

OTHERS: tuple[str, ...] = (
    "Today's menu in the canteen: lentil soup, baked salmon with potatoes, apple cake.",
    "Congratulations on your anniversary! The whole family sends its warmest wishes.",
    "Our hiking club walks from the lake to the old mill; bring sturdy shoes and water.",
    "Das Konzert des Chors war wunderbar, besonders das zweite Stück von Bach.",
    "Die Katze der Nachbarn hat Junge bekommen, drei graue und ein weißes.",
    "Für den Kuchen brauchst du vier Eier, Zucker und ein halbes Pfund Mehl.",
    "Il a neigé toute la nuit et les enfants ont construit un bonhomme devant la maison.",
    "Le musée expose des tableaux du dix-neuvième siècle jusqu'en mars.",
    "昨夜は満月がとてもきれいで、庭から写真を撮りました。",
    "新しいラーメン屋の味噌ラーメンがおいしかったです。",
    "The river level fell by four centimetres between the two measurements in spring.",
    "Our team won three to one, and Sam scored twice in the second half.",
)
"""Mails that belong to no label."""
