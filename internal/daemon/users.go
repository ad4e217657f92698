package daemon

import (
	"tidemark/internal/admin"
	"tidemark/internal/auth"
	"tidemark/internal/config"
	"tidemark/internal/mail"
)

// users are the people in the store and the rules for their passwords.
type users struct {
	hasher  *auth.Hasher
	policy  auth.Policy
	builtin *auth.Builtin
	mail    *mail.Service
}

func newUsers(c *config.Config, m *mail.Service, hasher *auth.Hasher) *users {
	u := &users{hasher: hasher, mail: m, policy: auth.Policy{
		MinLength:       c.Auth.MinPasswordLength,
		Compromised:     string(c.Auth.CompromisedPasswords),
		AllowWeakHashes: c.Auth.AllowWeakHashes,
	}}
	u.builtin = auth.NewBuiltin(directory{m}, u.hasher, u.policy, nil)
	return u
}

// service returns the administration of the users and their mail. The server that runs
// in this process gives its guard and the means to end sessions; both may be nil.
func (u *users) service(guard *auth.Guard, endSessions func(user, reason string) int) admin.Service {
	return admin.NewLocal(admin.LocalOptions{
		Mail: u.mail, Users: u.builtin, Policy: u.policy, Guard: guard, EndSessions: endSessions,
	})
}
