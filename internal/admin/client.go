package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"tidemark/imap"
	"tidemark/internal/transfer"
)

// Client is a Service that asks a running server.
type Client struct {
	http http.Client
}

// ErrNotRunning says that nobody listens on the socket.
var ErrNotRunning = errors.New("no server is running")

// Dial finds out whether a server listens on the socket and returns its client, or
// ErrNotRunning. Another error says that there is one that can not be used.
func Dial(ctx context.Context, socket string) (*Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	}
	conn, err := dial(ctx, "", "")
	if isAbsent(err) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	conn.Close()
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// isAbsent says that a dial failed because nobody listens.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// Close releases the client's connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Users implements Service.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	var users []User
	return users, c.call(ctx, pathUsers, request{}, &users)
}

// AddUser implements Service.
func (c *Client) AddUser(ctx context.Context, name, password string) error {
	return c.call(ctx, pathAddUser, request{User: name, Password: password}, &empty{})
}

// SetPassword implements Service.
func (c *Client) SetPassword(ctx context.Context, name, password string) error {
	return c.call(ctx, pathSetPassword, request{User: name, Password: password}, &empty{})
}

// SetDisabled implements Service.
func (c *Client) SetDisabled(ctx context.Context, name string, disabled bool) error {
	return c.call(ctx, pathSetDisabled, request{User: name, Disabled: disabled}, &empty{})
}

// DeleteUser implements Service.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	return c.call(ctx, pathDeleteUser, request{User: name}, &empty{})
}

// Mailboxes implements Service.
func (c *Client) Mailboxes(ctx context.Context, user string) ([]Mailbox, error) {
	var mailboxes []Mailbox
	return mailboxes, c.call(ctx, pathMailboxes, request{User: user}, &mailboxes)
}

// CreateMailbox implements Service.
func (c *Client) CreateMailbox(ctx context.Context, user, name string) error {
	return c.call(ctx, pathCreateMailbox, request{User: user, Mailbox: name}, &empty{})
}

// DeleteMailbox implements Service.
func (c *Client) DeleteMailbox(ctx context.Context, user, name string) error {
	return c.call(ctx, pathDeleteMailbox, request{User: user, Mailbox: name}, &empty{})
}

// RenameMailbox implements Service.
func (c *Client) RenameMailbox(ctx context.Context, user, from, to string) error {
	return c.call(ctx, pathRenameMailbox, request{User: user, Mailbox: from, To: to}, &empty{})
}

// EnsureMailbox implements Service.
func (c *Client) EnsureMailbox(ctx context.Context, user string, m transfer.Mailbox) error {
	return c.call(ctx, pathEnsureMailbox, request{User: user, Mailbox: m.Name, Subscribed: m.Subscribed}, &empty{})
}

// Imported implements Service.
func (c *Client) Imported(ctx context.Context, user, mailbox string, keys []string) ([]bool, error) {
	var known []bool
	return known, c.call(ctx, pathImported, request{User: user, Mailbox: mailbox, Keys: keys}, &known)
}

// Import implements Service.
func (c *Client) Import(ctx context.Context, user, mailbox string, batch iter.Seq[transfer.Message]) ([]transfer.Outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := bufio.NewWriterSize(w, maxFrame)
		var err error
		batch(func(m transfer.Message) bool {
			err = writeMessage(buf, m)
			return err == nil
		})
		if err == nil {
			err = buf.Flush()
		}
		w.CloseWithError(err)
	}()
	// The messages must not be read from any more when this returns.
	defer func() {
		cancel()
		r.CloseWithError(context.Canceled)
		<-done
	}()
	path := pathImport + "?" + url.Values{"user": {user}, "mailbox": {mailbox}}.Encode()
	resp, err := c.send(ctx, path, "application/octet-stream", r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var outcomes []transfer.Outcome
	if err := json.NewDecoder(resp.Body).Decode(&outcomes); err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return outcomes, nil
}

// Messages implements Service.
func (c *Client) Messages(ctx context.Context, user, mailbox string) ([]Message, error) {
	var messages []Message
	return messages, c.call(ctx, pathMessages, request{User: user, Mailbox: mailbox}, &messages)
}

// OpenMessage implements Service.
func (c *Client) OpenMessage(ctx context.Context, user, mailbox string, uid imap.UID) (io.ReadCloser, error) {
	resp, err := c.post(ctx, pathOpenMessage, request{User: user, Mailbox: mailbox, UID: uid})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Check implements Service.
func (c *Client) Check(ctx context.Context, user string, report func(Problem)) (CheckResult, error) {
	resp, err := c.post(ctx, pathCheck, request{User: user})
	if err != nil {
		return CheckResult{}, err
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); ; {
		var line checkLine
		if err := lines.Decode(&line); err != nil {
			return CheckResult{}, fmt.Errorf("the server stopped in the middle of the check: %w", err)
		}
		switch {
		case line.Problem != nil:
			report(*line.Problem)
		case line.Error != nil:
			return CheckResult{}, line.Error
		case line.Result != nil:
			return *line.Result, nil
		}
	}
}

func (c *Client) call(ctx context.Context, path string, in request, out any) error {
	resp, err := c.post(ctx, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// post sends a call and returns the answer if it is not a refusal.
func (c *Client) post(ctx context.Context, path string, in request) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return c.send(ctx, path, "application/json", bytes.NewReader(body))
}

func (c *Client) send(ctx context.Context, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tidemark"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var e Error
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(&e); err != nil || e.Text == "" {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	return nil, &e
}
