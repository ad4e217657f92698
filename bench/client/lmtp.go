package client

import (
	"bytes"
	"fmt"
)

// LMTP is a connection to an LMTP server. It is for one goroutine.
type LMTP struct{ Conn }

// DialLMTP connects and says LHLO.
func DialLMTP(addr string) (*LMTP, error) {
	sock, err := dialSocket(addr)
	if err != nil {
		return nil, err
	}
	c := &LMTP{Conn{sock: sock, rw: sock}}
	if err = c.reply("220"); err == nil {
		err = c.send("LHLO bench.example.org\r\n", "250")
	}
	if err != nil {
		sock.Close()
		return nil, err
	}
	return c, nil
}

// Deliver hands over a message, which must not have a line that begins with a dot. The
// envelope is sent in one piece (RFC 2920).
func (c *LMTP) Deliver(recipient string, message []byte) error {
	envelope := "MAIL FROM:<sender@example.org>\r\nRCPT TO:<" + recipient + ">\r\nDATA\r\n"
	if err := c.send(envelope, "250", "250", "354"); err != nil {
		return err
	}
	c.out = append(append(c.out[:0], message...), ".\r\n"...)
	if _, err := c.rw.Write(c.out); err != nil {
		return err
	}
	return c.reply("250")
}

func (c *LMTP) send(lines string, codes ...string) error {
	if _, err := c.rw.Write([]byte(lines)); err != nil {
		return err
	}
	for _, code := range codes {
		if err := c.reply(code); err != nil {
			return err
		}
	}
	return nil
}

// reply reads one reply of one or more lines (RFC 5321 §4.2).
func (c *LMTP) reply(code string) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(line, []byte(code)) {
			return fmt.Errorf("LMTP: %q where %s was expected", line, code)
		}
		if len(line) == len(code) || line[len(code)] != '-' {
			return nil
		}
	}
}
