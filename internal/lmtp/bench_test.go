package lmtp

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkDeliver measures one connection's messages of 24 KB, with a store that
// costs a copy of the message.
func BenchmarkDeliver(b *testing.B) {
	f := newFakeMail("alice")
	_, addr := start(b, f, Config{})
	c := greeted(b, addr)
	body := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 300) + ".\r\n"
	group := "MAIL FROM:<a@x.org>\r\nRCPT TO:<alice@x.org>\r\nDATA\r\n"
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c.send(group)
		c.expect("250 ", "250 ", "354 ")
		c.send(body)
		c.expect("250 2.1.5 ")
		f.boxes["alice"]["INBOX"] = nil
	}
}

// BenchmarkLineScan measures the search for a message's end.
func BenchmarkLineScan(b *testing.B) {
	for _, width := range []int{10, 76, 1000} {
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			line := []byte(strings.Repeat("x", width-2) + "\r\n")
			scan := lineScan{atStart: true}
			b.SetBytes(int64(width))
			for b.Loop() {
				scan.next(line)
			}
		})
	}
}
