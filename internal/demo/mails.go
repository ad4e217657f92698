package demo

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"

	"tidemark/imap"
)

func (w *writer) welcome() {
	w.add(message{
		mailbox: inbox, hours: 2, flags: flags(imap.FlagFlagged),
		from: "Tidemark <postmaster@example.org>", subject: "Welcome to your mailbox",
		body: multipart("alternative", "=_welcome",
			plain("Welcome!\n\nThis account holds a few dozen messages of many kinds, to try a mail program on.\n"+
				"Read, answer, flag, move and delete them: everything is kept until you\n"+
				"delete the data directory.\n"),
			html("<h1>Welcome!</h1>\n<p>This account holds a few dozen messages of many kinds, to try a mail program on.</p>\n"+
				"<p>Read, answer, flag, move and delete them: everything is kept until you delete the data directory.</p>\n")),
	})
}

// thread is a conversation of five messages, one of which is in Sent.
func (w *writer) thread() {
	people := []string{"Ada Field <ada@example.org>", "Demo <demo@example.org>", "Ben Shore <ben@example.net>"}
	texts := []struct {
		mailbox, text string
		from          int
		flags         []imap.Flag
	}{
		{inbox, "Shall we take the boat out on Saturday? High water is at ten.\n", 0, flags(imap.FlagSeen, imap.FlagAnswered)},
		{"Sent", "> High water is at ten.\n\nGladly. I can be at the jetty by half past eight.\n", 1, flags(imap.FlagSeen)},
		{inbox, "I am in too, if there is room for a dog.\n", 2, flags(imap.FlagSeen)},
		{inbox, "There is always room for the dog.\n\n-- \nAda\n", 0, flags(imap.FlagSeen, imap.FlagFlagged)},
		{inbox, "The forecast has changed: five, gusting six. Sunday instead?\n", 2, nil},
	}
	id := func(n int) string { return fmt.Sprintf("<boat-%d@example.org>", n) }
	var refs []string
	for i, m := range texts {
		header := "Message-ID: " + id(i) + "\n"
		subject := "Saturday on the water"
		if i > 0 {
			subject = "Re: " + subject
			header += "In-Reply-To: " + id(i-1) + "\nReferences: " + strings.Join(refs, "\n ") + "\n"
		}
		refs = append(refs, id(i))
		w.add(message{
			mailbox: m.mailbox, hours: 60 - 6*i, flags: m.flags, from: people[m.from],
			to: strings.Join(people, ", "), subject: subject, header: header, body: plain(m.text),
		})
	}
}

func (w *writer) attachments() {
	picture := waves(240, 160)
	w.add(message{
		mailbox: inbox, hours: 30, subject: "Photo of the harbour",
		body: multipart("mixed", "=_photo", plain("As promised.\n"), attachment("image/png", "harbour.png", picture)),
	})
	w.add(message{
		mailbox: inbox, hours: 28, flags: flags(imap.FlagSeen), subject: "The page with its picture inside",
		body: multipart("related", "=_related",
			html("<p>Tides of the week:</p><img src=\"cid:waves@example.org\" alt=\"waves\">\n"),
			"Content-Type: image/png\nContent-ID: <waves@example.org>\nContent-Disposition: inline; filename=\"waves.png\"\n"+
				"Content-Transfer-Encoding: base64\n\n"+base64Lines(picture)),
	})
	var table strings.Builder
	table.WriteString("day,high water,metres\n")
	for day := range 365 {
		fmt.Fprintf(&table, "%d,%02d:%02d,%d.%d\n", day+1, (day*50/60)%24, (day*50)%60, 4+day%3, day%10)
	}
	w.add(message{
		mailbox: inbox, hours: 26, subject: "Tide table and minutes",
		body: multipart("mixed", "=_files",
			plain("Two files: the table of the year, and the minutes of the meeting.\n"),
			attachment("text/csv", "tides.csv", []byte(table.String())),
			// RFC 2231 for a name that is not ASCII and too long for one parameter.
			"Content-Type: text/plain; charset=utf-8\nContent-Disposition: attachment;\n"+
				" filename*0*=utf-8''Protokoll%20der%20Sitzung%20%C3%BCber%20;\n filename*1*=die%20Liegepl%C3%A4tze.txt\n\n"+
				"1. The moorings are to be numbered anew.\n2. There was cake.\n"),
	})
	w.add(message{
		mailbox: archive, hours: 400, flags: flags(imap.FlagSeen), subject: "Large attachment",
		body: multipart("mixed", "=_large", plain("About half a megabyte.\n"),
			attachment("application/octet-stream", "depths.bin", bytes.Repeat([]byte{0, 3, 1, 4, 1, 5, 9, 2, 6}, 40_000))),
	})
}

// waves draws a picture.
func waves(width, height int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			crest := uint8((x*x/97 + y*5) % 64)
			img.Set(x, y, color.RGBA{20 + crest, 90 + crest, 160 + crest, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(fmt.Sprintf("demo: encode picture: %v", err))
	}
	return b.Bytes()
}

// structures are messages whose MIME structure is out of the ordinary.
func (w *writer) structures() {
	w.add(message{
		mailbox: inbox, hours: 24, from: "Ben Shore <ben@example.net>", subject: "Fwd: Lost and found",
		body: multipart("mixed", "=_forward", plain("Is this yours?\n"),
			"Content-Type: message/rfc822\nContent-Disposition: inline\n\n"+
				"From: Harbour Office <office@example.com>\nTo: ben@example.net\nSubject: Lost and found\n"+
				"Date: Mon, 02 Feb 2026 09:00:00 +0000\nMessage-ID: <found@example.com>\n\nOne glove, left hand, wet.\n"),
	})
	start := w.now.Add(72 * time.Hour).UTC().Format("20060102T150405Z")
	w.add(message{
		mailbox: inbox, hours: 22, subject: "Invitation: harbour meeting",
		body: multipart("alternative", "=_invite", plain("You are invited to the harbour meeting.\n"),
			"Content-Type: text/calendar; charset=utf-8; method=REQUEST\n\nBEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//example//demo//EN\n"+
				"METHOD:REQUEST\nBEGIN:VEVENT\nUID:meeting@example.org\nDTSTAMP:"+start+"\nDTSTART:"+start+"\n"+
				"SUMMARY:Harbour meeting\nORGANIZER:mailto:ada@example.org\nEND:VEVENT\nEND:VCALENDAR\n"),
	})
	w.add(message{
		mailbox: inbox, hours: 20, flags: flags(imap.FlagSeen), from: "Mail Delivery System <MAILER-DAEMON@example.com>",
		subject: "Undelivered mail returned to sender", header: "Auto-Submitted: auto-replied\nReturn-Path: <>\n",
		body: multipart("report; report-type=delivery-status", "=_report",
			plain("Your message could not be delivered: the mailbox does not exist.\n"),
			"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n"+
				"Final-Recipient: rfc822; nobody@example.com\nAction: failed\nStatus: 5.1.1\n",
			"Content-Type: text/rfc822-headers\n\nFrom: demo@example.org\nTo: nobody@example.com\nSubject: Anybody there?\n"),
	})
	w.add(message{
		mailbox: archive, hours: 300, flags: flags(imap.FlagSeen), subject: "Signed, in parts of parts",
		body: multipart("signed; micalg=pgp-sha256; protocol=\"application/pgp-signature\"", "=_signed",
			multipart("mixed", "=_inner", plain("The text.\n"),
				multipart("alternative", "=_innermost", plain("One form.\n"), html("<p>Another form.</p>\n"))),
			"Content-Type: application/pgp-signature; name=\"signature.asc\"\n\n-----BEGIN PGP SIGNATURE-----\n\nbm90IGEgcmVhbCBvbmU=\n-----END PGP SIGNATURE-----\n"),
	})
	w.add(message{
		mailbox: archive, hours: 280, flags: flags(imap.FlagSeen), subject: "Flowed text",
		body: "Content-Type: text/plain; charset=us-ascii; format=flowed\n\nThese lines end in a space, \nso that they are one paragraph \nin a program that knows RFC 3676.\n",
	})
}

// languages are messages in the writing systems and charsets of the world.
func (w *writer) languages() {
	for i, m := range []struct {
		charset       string
		enc           encoding.Encoding
		cte           string
		name, subject string
		text          string
	}{
		{"iso-8859-1", charmap.ISO8859_1, "quoted-printable", "Jörg Müller", "Grüße aus Übersee", "Schöne Grüße von der Küste. Das Wasser ist kühl, die Möwen sind frech.\n"},
		{"iso-8859-15", charmap.ISO8859_15, "quoted-printable", "Hélène Œuvrard", "L'été à la mer", "Le port est tranquille, l'œil se repose. Le café coûte 2 €.\n"},
		{"iso-8859-2", charmap.ISO8859_2, "quoted-printable", "Łukasz Żak", "Pozdrowienia znad morza", "Wieje mocny wiatr, żagle są zwinięte. Do zobaczenia w środę!\n"},
		{"koi8-r", charmap.KOI8R, "base64", "Мария Волкова", "Прилив", "Вода поднялась на четыре метра, лодка снова на плаву.\n"},
		{"windows-1253", charmap.Windows1253, "base64", "Νίκος Θάλασσας", "Καλημέρα", "Η θάλασσα είναι ήρεμη σήμερα.\n"},
		{"iso-2022-jp", japanese.ISO2022JP, "7bit", "海野 さくら", "満潮のお知らせ", "明日の満潮は十時です。港でお待ちしています。\n"},
		{"gb18030", simplifiedchinese.GB18030, "base64", "王海", "潮汐表", "附上本周的潮汐表，请查收。\n"},
		{"big5", traditionalchinese.Big5, "base64", "林港", "明天出海", "明天早上八點在碼頭見。\n"},
		{"euc-kr", korean.EUCKR, "base64", "김바다", "안녕하세요", "내일 아침에 항구에서 만나요.\n"},
		{"utf-8", unicode.UTF8, "base64", "ليلى البحر", "مد وجزر", "البحر هادئ اليوم والسماء صافية.\n"},
		{"utf-8", unicode.UTF8, "base64", "נועה ים", "גאות ושפל", "נתראה מחר בנמל בשמונה.\n"},
		{"utf-8", unicode.UTF8, "8bit", "Priya Sagar", "समुद्र से नमस्ते 🌊", "कल सुबह बंदरगाह पर मिलते हैं। ⛵🐕\n"},
	} {
		var fl []imap.Flag
		if i%2 == 0 {
			fl = flags(imap.FlagSeen)
		}
		w.add(message{
			mailbox: languages, hours: 200 - 8*i, flags: fl,
			from:    encodedIn(m.charset, m.enc, m.name) + fmt.Sprintf(" <friend%d@example.net>", i+1),
			subject: m.subject, body: inCharset(m.charset, m.enc, m.cte, m.text),
		})
	}
}

// gardening is a mailing list with its header fields.
func (w *writer) gardening() {
	for i, subject := range []string{
		"Salt-tolerant hedges?", "Re: Salt-tolerant hedges?", "Seaweed as fertiliser", "Slugs, again",
		"Re: Slugs, again", "Re: Re: Slugs, again", "Open garden on Sunday",
	} {
		fl := flags(imap.FlagSeen)
		if i > 4 {
			fl = nil
		}
		w.add(message{
			mailbox: gardening, hours: 150 - 10*i, flags: fl,
			from: fmt.Sprintf("Gardener %d <g%d@example.com>", i%3+1, i%3+1), to: "gardening@lists.example.com", subject: "[gardening] " + subject,
			header: "List-Id: Gardening by the sea <gardening.lists.example.com>\nList-Post: <mailto:gardening@lists.example.com>\n" +
				"List-Unsubscribe: <https://lists.example.com/u/gardening>\nPrecedence: list\n",
			body: plain("Number " + fmt.Sprint(i+1) + " of the list's seven messages.\n\n_______\ngardening mailing list\n"),
		})
	}
}

// everydayMail fills the other mailboxes.
func (w *writer) everydayMail() {
	w.add(message{
		mailbox: inbox, hours: 12, flags: flags("$Forwarded", imap.FlagSeen), from: `"Shop, The" <orders@example.com>`,
		subject: "Your order 4711 has been sent",
		body:    multipart("alternative", "=_order", plain("One lantern, 24.50.\n"), html("<table><tr><td>One lantern</td><td>24.50</td></tr></table>\n")),
	})
	w.add(message{
		mailbox: inbox, hours: 4, from: "backup@example.org", to: "demo@example.org, undisclosed-recipients:;",
		subject: "A subject that is so long that it has to be folded into several lines of the header, because no line should be longer than seventy-eight characters",
		body:    "Content-Type: text/plain; charset=us-ascii\n\nBackup finished.\n",
	})
	w.add(message{
		mailbox: "Drafts", hours: 3, flags: flags(imap.FlagDraft, imap.FlagSeen), from: "Demo <demo@example.org>", to: "Ada Field <ada@example.org>",
		subject: "Half a thought", body: plain("Dear Ada,\n\nI was about to\n"),
	})
	w.add(message{
		mailbox: "Sent", hours: 10, flags: flags(imap.FlagSeen), from: "Demo <demo@example.org>", to: "office@example.com",
		subject: "Mooring fee", body: plain("Please send the bill to the usual address.\n"),
	})
	w.add(message{
		mailbox: "Junk", hours: 9, flags: flags("$Junk"), from: "Lucky Draw <win@example.invalid>",
		subject: "You have WON!!! 🎉", body: html("<b>Click <a href=\"https://example.invalid/\">here</a></b>\n"),
	})
	w.add(message{
		mailbox: "Trash", hours: 90, flags: flags(imap.FlagSeen, imap.FlagDeleted), subject: "Old news", body: plain("No longer needed.\n"),
	})
	for month := range 6 {
		w.add(message{
			mailbox: lastYear, hours: 24 * 30 * (20 - month), flags: flags(imap.FlagSeen), from: "Harbour Office <office@example.com>",
			subject: fmt.Sprintf("Newsletter %d", month+1),
			body:    plain(strings.Repeat("The harbour is open every day from six to ten. ", 20) + "\n"),
		})
	}
}
