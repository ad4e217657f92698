package imapserver

import (
	"context"
	"strconv"
	"strings"

	"tidemark/imap"
	"tidemark/imapwire"
)

// when says in which situations a capability is announced.
type when uint8

const (
	always     when = iota
	beforeTLS       // while STARTTLS can be given
	noLogin         // before the login, while no password would be taken
	afterLogin      // once the client has logged in; it is of no use before
)

// capability is one row of the table of capabilities.
type capability struct {
	name string
	when when
	rfc  string
	// enable switches it on for ENABLE (RFC 5161); nil where there is nothing to
	// switch.
	enable func(*authenticated)
}

// capabilities is everything the server can be told to announce, in the order in
// which it does. What stands here works; what works stands here.
var capabilities = []capability{
	{name: "IMAP4rev1", rfc: "RFC 3501"},
	{name: "IMAP4rev2", rfc: "RFC 9051", enable: (*authenticated).enableRev2},
	{name: "STARTTLS", rfc: "RFC 9051 §6.2.1", when: beforeTLS},
	{name: "LOGINDISABLED", rfc: "RFC 9051 §6.2.3", when: noLogin},
	{name: "SASL-IR", rfc: "RFC 4959"},
	{name: "LITERAL+", rfc: "RFC 7888"},
	{name: "ID", rfc: "RFC 2971"},
	{name: "ENABLE", rfc: "RFC 5161"},
	{name: "IDLE", rfc: "RFC 2177", when: afterLogin},
	{name: "NAMESPACE", rfc: "RFC 2342", when: afterLogin},
	{name: "CHILDREN", rfc: "RFC 3348", when: afterLogin},
	{name: "LIST-EXTENDED", rfc: "RFC 5258", when: afterLogin},
	{name: "LIST-STATUS", rfc: "RFC 5819", when: afterLogin},
	{name: "SPECIAL-USE", rfc: "RFC 6154", when: afterLogin},
	{name: "CREATE-SPECIAL-USE", rfc: "RFC 6154", when: afterLogin},
	{name: "STATUS=SIZE", rfc: "RFC 8438", when: afterLogin},
	{name: "UNSELECT", rfc: "RFC 3691", when: afterLogin},
	{name: "UIDPLUS", rfc: "RFC 4315", when: afterLogin},
	{name: "MOVE", rfc: "RFC 6851", when: afterLogin},
	{name: "MULTIAPPEND", rfc: "RFC 3502", when: afterLogin},
	{name: "BINARY", rfc: "RFC 3516", when: afterLogin},
	{name: "CONDSTORE", rfc: "RFC 7162", when: afterLogin, enable: (*authenticated).enableCondStore},
	{name: "QRESYNC", rfc: "RFC 7162", when: afterLogin, enable: (*authenticated).enableQResync},
	{name: "ESEARCH", rfc: "RFC 4731", when: afterLogin},
	{name: "SEARCHRES", rfc: "RFC 5182", when: afterLogin},
	{name: "SORT", rfc: "RFC 5256", when: afterLogin},
	{name: "SORT=DISPLAY", rfc: "RFC 5957", when: afterLogin},
	{name: "THREAD=ORDEREDSUBJECT", rfc: "RFC 5256", when: afterLogin},
	{name: "THREAD=REFERENCES", rfc: "RFC 5256", when: afterLogin},
	{name: "WITHIN", rfc: "RFC 5032", when: afterLogin},
	{name: "SAVEDATE", rfc: "RFC 8514", when: afterLogin},
	{name: "PREVIEW", rfc: "RFC 8970", when: afterLogin},
	{name: "OBJECTID", rfc: "RFC 8474", when: afterLogin},
	{name: "UTF8=ACCEPT", rfc: "RFC 6855", when: afterLogin, enable: (*authenticated).enableUTF8},
}

// announced says whether cap is to be announced to c now. mechanisms are those that
// c can log in with.
func (c *conn) announced(cap capability, mechanisms []string) bool {
	_, early := c.state.(*greeted)
	switch cap.when {
	case beforeTLS:
		return early && c.mayStartTLS()
	case noLogin:
		return early && len(mechanisms) == 0
	case afterLogin:
		return !early
	}
	return true
}

// capabilityList returns the capabilities of the moment. Those that only serve a
// session come with the login: what a stranger needs is short.
func (c *conn) capabilityList() []string {
	names := make([]string, 0, len(capabilities)+len(capabilities)/4) // with room for AUTH=
	var mechanisms []string
	account := c.account()
	if account == nil {
		mechanisms = c.mechanisms()
	}
	for _, cap := range capabilities {
		if c.announced(cap, mechanisms) {
			names = append(names, cap.name)
		}
	}
	for _, m := range mechanisms {
		names = append(names, "AUTH="+m)
	}
	if account != nil {
		names = append(names, "APPENDLIMIT="+strconv.FormatInt(account.AppendLimit(), 10)) // RFC 7889 §2
	}
	return names
}

// account returns the account that is logged in to, nil before that.
func (c *conn) account() Account {
	switch st := c.state.(type) {
	case *authenticated:
		return st.account
	case *selected:
		return st.account
	}
	return nil
}

// capability is CAPABILITY (RFC 9051 §6.1.1).
func (c *conn) capability(context.Context, imap.Simple) (outcome, error) {
	c.put(imapwire.AppendCapability(c.buf(), c.capabilityList()))
	return outcome{}, nil
}

// noop is NOOP (RFC 9051 §6.1.2); what it is for happens after it.
func (c *conn) noop(context.Context, imap.Simple) (outcome, error) {
	return outcome{}, nil
}

// logout is LOGOUT (RFC 9051 §6.1.3).
func (c *conn) logout(context.Context, imap.Simple) (outcome, error) {
	c.put(imapwire.AppendUntagged(c.buf(), imap.BYE, "", "Logging out"))
	return outcome{then: func(context.Context) error {
		return &bye{reason: "logout"}
	}}, nil
}

// identify is ID (RFC 2971 §3.1).
func (c *conn) identify(_ context.Context, cmd *imap.ID) (outcome, error) {
	c.logID(cmd.Params)
	var params []imap.IDParam
	if name := c.srv.opts.Name; name != "" {
		params = append(params, imap.IDParam{Field: "name", Value: name})
	}
	if version := c.srv.opts.Version; version != "" {
		params = append(params, imap.IDParam{Field: "version", Value: version})
	}
	c.put(imapwire.AppendID(c.buf(), params))
	return outcome{}, nil
}

// logID logs which program the client says it is.
func (c *conn) logID(params []imap.IDParam) {
	var name, version string
	for _, p := range params {
		switch strings.ToLower(p.Field) {
		case "name":
			name = p.Value
		case "version":
			version = p.Value
		}
	}
	if name != "" {
		c.log.Info("client", "name", clip(name), "version", clip(version))
	}
}

// enable is ENABLE (RFC 5161 §3.1). A name that is not known, or that there is
// nothing to enable of, is ignored.
func (a *authenticated) enable(_ context.Context, cmd *imap.Enable) (outcome, error) {
	var enabled []string
	asked := make(map[string]bool, len(cmd.Capabilities))
	for _, name := range cmd.Capabilities {
		asked[name] = true
	}
	for _, cap := range capabilities {
		if cap.enable != nil && a.announced(cap, nil) && asked[strings.ToUpper(cap.name)] {
			cap.enable(a)
			enabled = append(enabled, cap.name)
		}
	}
	a.put(imapwire.AppendEnabled(a.buf(), enabled))
	return outcome{}, nil
}

func (a *authenticated) enableRev2() {
	a.enabled.rev2 = true
	a.dec.UTF8 = true
}

func (a *authenticated) enableUTF8() {
	a.enabled.utf8 = true
	a.dec.UTF8 = true
}

func (a *authenticated) enableQResync() {
	a.enableCondStore()
	a.enabled.qresync = true
}

// namespace is NAMESPACE (RFC 2342 §5): one personal namespace without a prefix.
func (a *authenticated) namespace(context.Context, imap.Simple) (outcome, error) {
	a.put(imapwire.AppendNamespace(a.buf(), a.enabled.utf8Names(), ""))
	return outcome{}, nil
}
