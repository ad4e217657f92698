package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"tidemark/imap"
	"tidemark/internal/auth"
	"tidemark/internal/transfer"
)

// The calls. Each is a POST of a JSON object to its path, answered by a JSON value;
// a refusal is an Error with a status of 4xx.
const (
	pathUsers         = "/v1/users/list"
	pathAddUser       = "/v1/users/add"
	pathSetPassword   = "/v1/users/password"
	pathAddUserHash   = "/v1/users/add-hash"
	pathSetHash       = "/v1/users/hash"
	pathSetDisabled   = "/v1/users/disabled"
	pathSetMaster     = "/v1/users/master"
	pathDeleteUser    = "/v1/users/delete"
	pathAppPasswords  = "/v1/app-passwords/list"
	pathAddApp        = "/v1/app-passwords/add"
	pathRevokeApp     = "/v1/app-passwords/revoke"
	pathPenalties     = "/v1/logins/penalties"
	pathWhySlow       = "/v1/logins/why"
	pathUnban         = "/v1/logins/unban"
	pathMailboxes     = "/v1/mailboxes/list"
	pathCreateMailbox = "/v1/mailboxes/create"
	pathDeleteMailbox = "/v1/mailboxes/delete"
	pathRenameMailbox = "/v1/mailboxes/rename"
	pathEnsureMailbox = "/v1/import/mailbox"
	pathImported      = "/v1/import/known"
	pathImport        = "/v1/import/messages" // its request is the query, its body a stream
	pathMessages      = "/v1/export/list"
	pathOpenMessage   = "/v1/export/message" // answered by the message itself
	pathCheck         = "/v1/check"
)

// request is the body of every call; each uses the fields it needs.
type request struct {
	User     string    `json:"user,omitempty"`
	Password string    `json:"password,omitempty"`
	Hash     string    `json:"hash,omitempty"` // of a password
	Disabled bool      `json:"disabled,omitempty"`
	Master   bool      `json:"master,omitempty"`
	Name     string    `json:"name,omitempty"` // of an app password
	Expires  time.Time `json:"expires,omitzero"`
	Who      string    `json:"who,omitempty"` // an address, a network or a user
	Mailbox  string    `json:"mailbox,omitempty"`
	To       string    `json:"to,omitempty"`

	Subscribed bool     `json:"subscribed,omitempty"`
	Keys       []string `json:"keys,omitempty"`
	UID        imap.UID `json:"uid,omitempty"`
}

// maxRequest bounds a request's body in octets.
const maxRequest = 1 << 20

type empty struct{}

// NewHandler returns the HTTP side of a service. Every change is logged, without
// secrets.
func NewHandler(s Service, log *slog.Logger) http.Handler {
	h := &handler{mux: http.NewServeMux(), log: log}
	handle(h, pathUsers, func(ctx context.Context, _ request) ([]User, error) { return s.Users(ctx) })
	handle(h, pathMailboxes, func(ctx context.Context, r request) ([]Mailbox, error) { return s.Mailboxes(ctx, r.User) })
	change(h, pathAddUser, func(ctx context.Context, r request) error { return s.AddUser(ctx, r.User, r.Password) })
	change(h, pathSetPassword, func(ctx context.Context, r request) error { return s.SetPassword(ctx, r.User, r.Password) })
	change(h, pathAddUserHash, func(ctx context.Context, r request) error { return s.AddUserHash(ctx, r.User, r.Hash) })
	change(h, pathSetHash, func(ctx context.Context, r request) error { return s.SetHash(ctx, r.User, r.Hash) })
	change(h, pathSetDisabled, func(ctx context.Context, r request) error { return s.SetDisabled(ctx, r.User, r.Disabled) })
	change(h, pathDeleteUser, func(ctx context.Context, r request) error { return s.DeleteUser(ctx, r.User) })
	change(h, pathSetMaster, func(ctx context.Context, r request) error { return s.SetMaster(ctx, r.User, r.Master) })
	handleLogins(h, s)
	change(h, pathCreateMailbox, func(ctx context.Context, r request) error { return s.CreateMailbox(ctx, r.User, r.Mailbox) })
	change(h, pathDeleteMailbox, func(ctx context.Context, r request) error { return s.DeleteMailbox(ctx, r.User, r.Mailbox) })
	change(h, pathRenameMailbox, func(ctx context.Context, r request) error { return s.RenameMailbox(ctx, r.User, r.Mailbox, r.To) })
	change(h, pathEnsureMailbox, func(ctx context.Context, r request) error {
		return s.EnsureMailbox(ctx, r.User, transfer.Mailbox{Name: r.Mailbox, Subscribed: r.Subscribed})
	})
	handle(h, pathImported, func(ctx context.Context, r request) ([]bool, error) {
		return s.Imported(ctx, r.User, r.Mailbox, r.Keys)
	})
	// An export changes nothing, but whose mail was read is for the log too.
	changing(h, pathMessages, func(ctx context.Context, r request) ([]Message, error) { return s.Messages(ctx, r.User, r.Mailbox) })
	h.mux.HandleFunc("POST "+pathImport, func(w http.ResponseWriter, r *http.Request) { h.importBatch(s, w, r) })
	h.mux.HandleFunc("POST "+pathOpenMessage, func(w http.ResponseWriter, r *http.Request) { h.openMessage(s, w, r) })
	h.mux.HandleFunc("POST "+pathCheck, func(w http.ResponseWriter, r *http.Request) { h.check(s, w, r) })
	return h.mux
}

// handleLogins registers the calls about how users log in.
func handleLogins(h *handler, s Service) {
	handle(h, pathAppPasswords, func(ctx context.Context, r request) ([]AppPassword, error) {
		return s.AppPasswords(ctx, r.User)
	})
	changing(h, pathAddApp, func(ctx context.Context, r request) (string, error) {
		return s.AddAppPassword(ctx, r.User, r.Name, r.Expires)
	})
	change(h, pathRevokeApp, func(ctx context.Context, r request) error { return s.RevokeAppPassword(ctx, r.User, r.Name) })
	handle(h, pathPenalties, func(ctx context.Context, _ request) ([]auth.Penalty, error) { return s.Penalties(ctx) })
	handle(h, pathWhySlow, func(ctx context.Context, r request) (Standing, error) { return s.WhySlow(ctx, r.Who) })
	changing(h, pathUnban, func(ctx context.Context, r request) (int, error) { return s.Unban(ctx, r.Who) })
}

type handler struct {
	mux *http.ServeMux
	log *slog.Logger
}

// handle registers a call that returns something.
func handle[T any](h *handler, path string, call func(context.Context, request) (T, error)) {
	h.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		in, err := readRequest(w, r)
		var out T
		if err == nil {
			out, err = call(r.Context(), in)
		}
		if err != nil {
			h.fail(w, path, err)
			return
		}
		h.reply(w, http.StatusOK, out)
	})
}

func readRequest(w http.ResponseWriter, r *http.Request) (request, error) {
	var in request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&in); err != nil {
		return in, errorf(Invalid, "the request is not valid: %v", err)
	}
	return in, nil
}

// change registers a call that changes something.
func change(h *handler, path string, call func(context.Context, request) error) {
	changing(h, path, func(ctx context.Context, in request) (empty, error) { return empty{}, call(ctx, in) })
}

// changing registers a call that changes something and returns something.
func changing[T any](h *handler, path string, call func(context.Context, request) (T, error)) {
	handle(h, path, func(ctx context.Context, in request) (T, error) {
		out, err := call(ctx, in)
		if err == nil {
			h.log.LogAttrs(ctx, slog.LevelInfo, "administration", append([]slog.Attr{slog.String("call", path)}, in.attrs()...)...)
		}
		return out, err
	})
}

// attrs are what the log tells of a request: what it names, and nothing secret.
func (in request) attrs() []slog.Attr {
	var attrs []slog.Attr
	for _, a := range [...]struct{ key, value string }{
		{"user", in.User}, {"mailbox", in.Mailbox}, {"to", in.To}, {"name", in.Name}, {"who", in.Who},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if in.Disabled {
		attrs = append(attrs, slog.Bool("disabled", true))
	}
	if in.Master {
		attrs = append(attrs, slog.Bool("master", true))
	}
	return attrs
}

func (h *handler) reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		h.log.Debug("administration: client went away", "error", err)
	}
}

// fail sends an error. What the caller cannot help is told in full too: whoever can
// open the socket may read the log.
func (h *handler) fail(w http.ResponseWriter, path string, err error) {
	status := http.StatusUnprocessableEntity
	e, ok := errors.AsType[*Error](err)
	if !ok {
		h.log.Error("administration failed", "call", path, "error", err)
		status, e = http.StatusInternalServerError, &Error{Text: err.Error()}
	}
	h.reply(w, status, e)
}

// checkLine is one line of the answer to a check: problems, then the result or the
// error that ended it.
type checkLine struct {
	Problem *Problem     `json:"problem,omitempty"`
	Result  *CheckResult `json:"result,omitempty"`
	Error   *Error       `json:"error,omitempty"`
}

func (h *handler) check(s Service, w http.ResponseWriter, r *http.Request) {
	in, err := readRequest(w, r)
	if err != nil {
		h.fail(w, pathCheck, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, flush := json.NewEncoder(w), http.NewResponseController(w)
	send := func(line checkLine) {
		// A client that has gone away ends the check through its context.
		if enc.Encode(line) == nil {
			_ = flush.Flush()
		}
	}
	result, err := s.Check(r.Context(), in.User, func(p Problem) { send(checkLine{Problem: &p}) })
	if err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			e = &Error{Text: err.Error()}
		}
		send(checkLine{Error: e})
		return
	}
	send(checkLine{Result: &result})
}

// importBatch takes the stream of an import. The whole batch is one transaction.
func (h *handler) importBatch(s Service, w http.ResponseWriter, r *http.Request) {
	stream := &streamReader{r: bufio.NewReaderSize(r.Body, maxFrame)}
	query := r.URL.Query()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	outcomes, err := s.Import(ctx, query.Get("user"), query.Get("mailbox"), func(yield func(transfer.Message) bool) {
		if stream.all(yield); stream.err != nil {
			// The sender has gone: what has come must not be stored as if it were all.
			cancel()
		}
	})
	switch {
	case stream.err != nil:
		h.fail(w, pathImport, errorf(Invalid, "the import was broken off: %v", stream.err))
	case err != nil:
		h.fail(w, pathImport, err)
	default:
		h.log.Info("administration", "call", pathImport,
			"user", query.Get("user"), "mailbox", query.Get("mailbox"), "messages", len(outcomes))
		h.reply(w, http.StatusOK, outcomes)
	}
}

func (h *handler) openMessage(s Service, w http.ResponseWriter, r *http.Request) {
	in, err := readRequest(w, r)
	if err != nil {
		h.fail(w, pathOpenMessage, err)
		return
	}
	content, err := s.OpenMessage(r.Context(), in.User, in.Mailbox, in.UID)
	if err != nil {
		h.fail(w, pathOpenMessage, err)
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "message/rfc822")
	if _, err := io.Copy(w, content); err != nil {
		h.log.Warn("export broken off", "user", in.User, "uid", in.UID, "error", err)
		// So that the client does not take what it has for the whole message.
		panic(http.ErrAbortHandler)
	}
}
