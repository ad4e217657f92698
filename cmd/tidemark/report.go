package main

import (
	"fmt"
	"io"

	"tidemark/internal/transfer"
)

// reportJSON is a report as programs read it.
type reportJSON struct {
	Found     int           `json:"mailboxes_found"`
	Mailboxes int           `json:"mailboxes"` // gone through to their end
	Stored    int           `json:"stored"`
	Known     int           `json:"known"`
	Refused   int           `json:"refused"`
	Octets    int64         `json:"octets"`
	Problems  []problemJSON `json:"problems"`
}

type problemJSON struct {
	Mailbox string `json:"mailbox"`
	Message string `json:"message,omitempty"`
	Reason  string `json:"reason"`
}

// printReport says what a copy has done.
func printReport(w io.Writer, r transfer.Report, asJSON bool) error {
	if asJSON {
		out := reportJSON{r.Found, r.Mailboxes, r.Stored, r.Known, r.Refused, r.Octets, []problemJSON{}}
		for _, p := range r.Problems {
			out.Problems = append(out.Problems, problemJSON(p))
		}
		return printJSON(w, out)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "%s", printable(p.Mailbox))
		if p.Message != "" {
			fmt.Fprintf(w, ": %s", printable(p.Message))
		}
		fmt.Fprintf(w, ": %s\n", printable(p.Reason))
	}
	mailboxes := count(r.Mailboxes, "mailbox", "mailboxes")
	if r.Mailboxes < r.Found {
		mailboxes = fmt.Sprintf("%d of %s", r.Mailboxes, count(r.Found, "mailbox", "mailboxes"))
	}
	_, err := fmt.Fprintf(w, "%s: %s copied (%s), %d there already, %d not taken\n",
		mailboxes, count(r.Stored, "message", "messages"), octets(r.Octets), r.Known, r.Refused)
	return err
}
