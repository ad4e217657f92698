// Package corpus makes mail to measure with: the same messages on every machine, with
// the sizes, structures, languages and threads of a real mailbox.
package corpus

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// The sizes are lognormal, which gives real mail its many short notes and its few large
// attachments: the median is 6 KB and the mean about 24 KB.
const (
	medianSize = 6 << 10
	meanFactor = 4 // mean / median = exp(sigma²/2)
	minSize    = 700
	maxSize    = 8 << 20
)

// interval is the time between one message and the next.
const interval = 5 * time.Minute

// Generator makes messages. Message i depends on the generator's fields and i alone.
type Generator struct {
	Seed uint64
	// Limit is the largest size in octets to aim at; zero for no limit. With one, the
	// messages have the headers of real mail and little text.
	Limit int
}

// start is the date of message 0.
func start() time.Time { return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) }

// Date returns the date of message i, out of order by up to a day as real mail is.
func (g Generator) Date(i int) time.Time {
	jitter := time.Duration(g.rand(i, 1).IntN(48*60)-24*60) * time.Minute
	return start().Add(time.Duration(i)*interval + jitter)
}

// Seen says whether message i has been read: four of five have.
func (g Generator) Seen(i int) bool { return g.rand(i, 2).IntN(5) > 0 }

func (g Generator) rand(i int, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(g.Seed, uint64(i)<<8|purpose))
}

// Messages returns n messages.
func (g Generator) Messages(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = g.Append(nil, i)
	}
	return list
}

// Append appends message i to dst.
func (g Generator) Append(dst []byte, i int) []byte {
	r := g.rand(i, 0)
	m := &writer{buf: dst, start: len(dst), r: r, size: g.size(r)}
	m.lang = languages[r.IntN(len(languages))]
	g.header(m, i)
	switch {
	case m.size < 2<<10:
		m.text("plain", m.left(0))
	case m.size < 32<<10:
		m.alternative(m.left(400), i)
	default:
		m.mixed(i)
	}
	return m.buf
}

func (g Generator) size(r *rand.Rand) int {
	sigma := math.Sqrt(2 * math.Log(meanFactor))
	size := int(medianSize * math.Exp(sigma*r.NormFloat64()))
	limit := maxSize
	if g.Limit > 0 {
		limit = g.Limit
	}
	return min(max(size, minSize), limit)
}

// parent returns the message that i answers, or -1: two of three messages are part of a
// thread.
func (g Generator) parent(i int) int {
	r := g.rand(i, 3)
	if i == 0 || r.IntN(3) == 0 {
		return -1
	}
	return max(0, i-1-r.IntN(40))
}

// maxReferences is how far back References goes: long threads are cut by mail programs
// too.
const maxReferences = 10

// ancestors returns the messages that i answers, the oldest first, and the one that
// began the thread.
func (g Generator) ancestors(i int) (list []int, root int) {
	root = i
	for p := g.parent(i); p >= 0 && len(list) < maxReferences; p = g.parent(p) {
		list = append([]int{p}, list...)
		root = p
	}
	return list, root
}

func (g Generator) id(i int) string {
	return fmt.Sprintf("<%016x.%d@mail%d.example.org>", g.rand(i, 4).Uint64(), i, i%7)
}

func (g Generator) header(m *writer, i int) {
	from, to := person(m.r.IntN(200)), person(m.r.IntN(200))
	ancestors, root := g.ancestors(i)
	date := g.Date(i).Format(time.RFC1123Z)
	m.printf("Return-Path: <%s>\r\n", from.addr)
	m.printf("Received: from mx%d.example.net (mx%d.example.net [192.0.2.%d])\r\n"+
		"\tby mail.example.org with ESMTPS id %012X;\r\n\t%s\r\n",
		i%5, i%5, i%250, m.r.Uint64()>>16, date)
	m.printf("Date: %s\r\nFrom: %s <%s>\r\nTo: %s <%s>\r\n", date, from.name, from.addr, to.name, to.addr)
	if m.r.IntN(4) == 0 {
		for n := range 1 + m.r.IntN(5) {
			cc := person(m.r.IntN(200))
			m.printf("%s%s <%s>", []string{"Cc: ", ",\r\n\t"}[min(n, 1)], cc.name, cc.addr)
		}
		m.printf("\r\n")
	}
	m.printf("Message-ID: %s\r\n", g.id(i))
	if len(ancestors) > 0 {
		m.printf("In-Reply-To: %s\r\nReferences:", g.id(ancestors[len(ancestors)-1]))
		for _, a := range ancestors {
			m.printf("\r\n %s", g.id(a))
		}
		m.printf("\r\n")
	}
	m.printf("Subject: %s\r\n", g.subject(root, root != i))
	m.printf("MIME-Version: 1.0\r\nUser-Agent: Corpus/1.0\r\nX-Mailer-Id: %d\r\n", m.r.Uint32())
}

// subject returns the subject of the thread that root began, ready for the header.
func (g Generator) subject(root int, reply bool) string {
	r := g.rand(root, 5)
	l := languages[r.IntN(len(languages))]
	words := make([]string, 3+r.IntN(4))
	for n := range words {
		words[n] = l.words[r.IntN(len(l.words))]
	}
	text := fmt.Sprintf("%s %d", strings.Join(words, " "), root%1000)
	if !isASCII(text) {
		text = "=?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte(text)) + "?="
	}
	if reply {
		text = "Re: " + text
	}
	return text
}

type correspondent struct{ name, addr string }

func person(n int) correspondent {
	first, last := firstNames[n%len(firstNames)], lastNames[n/len(firstNames)%len(lastNames)]
	return correspondent{
		name: first + " " + last,
		addr: fmt.Sprintf("%s.%s%d@example%d.org", strings.ToLower(first), strings.ToLower(last), n, n%9),
	}
}

func isASCII(s string) bool {
	for _, b := range []byte(s) {
		if b >= 0x80 {
			return false
		}
	}
	return true
}
