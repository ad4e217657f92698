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
	"tidemark/internal/auth"
	"tidemark/internal/transfer"
)

// Client is a Service that asks a running server.
type Client struct {
	http http.Client
}

// ErrNotRunning says that nobody listens on the socket.
var ErrNotRunning = errors.New("no server is running")

// Dial finds out whether a server listens on the socket and returns its client, or
// ErrNotRunning. Another error says that there is one that cannot be used.
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
	return ask[[]User](ctx, c, pathUsers, request{})
}

// AddUser implements Service.
func (c *Client) AddUser(ctx context.Context, name, password string) error {
	return c.tell(ctx, pathAddUser, request{User: name, Password: password})
}

// SetPassword implements Service.
func (c *Client) SetPassword(ctx context.Context, name, password string) error {
	return c.tell(ctx, pathSetPassword, request{User: name, Password: password})
}

// AddUserHash implements Service.
func (c *Client) AddUserHash(ctx context.Context, name, hash string) error {
	return c.tell(ctx, pathAddUserHash, request{User: name, Hash: hash})
}

// SetHash implements Service.
func (c *Client) SetHash(ctx context.Context, name, hash string) error {
	return c.tell(ctx, pathSetHash, request{User: name, Hash: hash})
}

// SetDisabled implements Service.
func (c *Client) SetDisabled(ctx context.Context, name string, disabled bool) error {
	return c.tell(ctx, pathSetDisabled, request{User: name, Disabled: disabled})
}

// SetMaster implements Service.
func (c *Client) SetMaster(ctx context.Context, name string, master bool) error {
	return c.tell(ctx, pathSetMaster, request{User: name, Master: master})
}

// AppPasswords implements Service.
func (c *Client) AppPasswords(ctx context.Context, user string) ([]AppPassword, error) {
	return ask[[]AppPassword](ctx, c, pathAppPasswords, request{User: user})
}

// AddAppPassword implements Service.
func (c *Client) AddAppPassword(ctx context.Context, user, name string, expires time.Time) (string, error) {
	return ask[string](ctx, c, pathAddApp, request{User: user, Name: name, Expires: expires})
}

// RevokeAppPassword implements Service.
func (c *Client) RevokeAppPassword(ctx context.Context, user, name string) error {
	return c.tell(ctx, pathRevokeApp, request{User: user, Name: name})
}

// Penalties implements Service.
func (c *Client) Penalties(ctx context.Context) ([]auth.Penalty, error) {
	return ask[[]auth.Penalty](ctx, c, pathPenalties, request{})
}

// WhySlow implements Service.
func (c *Client) WhySlow(ctx context.Context, addressOrUser string) (Standing, error) {
	return ask[Standing](ctx, c, pathWhySlow, request{Who: addressOrUser})
}

// Unban implements Service.
func (c *Client) Unban(ctx context.Context, networkOrUser string) (int, error) {
	return ask[int](ctx, c, pathUnban, request{Who: networkOrUser})
}

// DeleteUser implements Service.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	return c.tell(ctx, pathDeleteUser, request{User: name})
}

// Mailboxes implements Service.
func (c *Client) Mailboxes(ctx context.Context, user string) ([]Mailbox, error) {
	return ask[[]Mailbox](ctx, c, pathMailboxes, request{User: user})
}

// CreateMailbox implements Service.
func (c *Client) CreateMailbox(ctx context.Context, user, name string) error {
	return c.tell(ctx, pathCreateMailbox, request{User: user, Mailbox: name})
}

// DeleteMailbox implements Service.
func (c *Client) DeleteMailbox(ctx context.Context, user, name string) error {
	return c.tell(ctx, pathDeleteMailbox, request{User: user, Mailbox: name})
}

// RenameMailbox implements Service.
func (c *Client) RenameMailbox(ctx context.Context, user, from, to string) error {
	return c.tell(ctx, pathRenameMailbox, request{User: user, Mailbox: from, To: to})
}

// EnsureMailbox implements Service.
func (c *Client) EnsureMailbox(ctx context.Context, user string, m transfer.Mailbox) error {
	return c.tell(ctx, pathEnsureMailbox, request{User: user, Mailbox: m.Name, Subscribed: m.Subscribed})
}

// Imported implements Service.
func (c *Client) Imported(ctx context.Context, user, mailbox string, keys []string) ([]bool, error) {
	return ask[[]bool](ctx, c, pathImported, request{User: user, Mailbox: mailbox, Keys: keys})
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
			// What was broken off must not come to the end of the stream.
			if err = ctx.Err(); err == nil {
				err = writeMessage(buf, m)
			}
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
	return ask[[]Message](ctx, c, pathMessages, request{User: user, Mailbox: mailbox})
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

// ask makes a call and returns its answer.
func ask[T any](ctx context.Context, c *Client, path string, in request) (T, error) {
	var out T
	resp, err := c.post(ctx, path, in)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("read the server's answer: %w", err)
	}
	return out, nil
}

// tell makes a call that returns nothing.
func (c *Client) tell(ctx context.Context, path string, in request) error {
	_, err := ask[empty](ctx, c, path, in)
	return err
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
