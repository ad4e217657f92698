package sasl

import "fmt"

// loginServer speaks LOGIN, which has no RFC but is all that some old programs
// know. The two prompts are the ones those programs expect.
type loginServer struct {
	check PasswordFunc
	state loginState
	user  string
	id    Identity
}

type loginState int

const (
	loginStart loginState = iota
	loginUser
	loginPassword
	loginEnded
)

// NewLoginServer returns the server's side of LOGIN.
func NewLoginServer(check PasswordFunc) Server { return &loginServer{check: check} }

func (s *loginServer) Next(response []byte) ([]byte, bool, error) {
	switch s.state {
	case loginStart:
		s.state = loginUser
		if response == nil {
			return []byte("Username:"), false, nil
		}
		return s.Next(response) // the name came as initial response
	case loginUser:
		s.state = loginPassword
		s.user = string(response)
		return []byte("Password:"), false, nil
	case loginPassword:
		s.state = loginEnded
		if s.user == "" || len(response) == 0 {
			return nil, false, fmt.Errorf("%w: LOGIN", ErrSyntax)
		}
		id, err := s.check("", s.user, string(response))
		if err != nil {
			return nil, false, err
		}
		s.id = id
		return nil, true, nil
	default:
		return nil, false, fmt.Errorf("%w: response after the end", ErrSyntax)
	}
}

func (s *loginServer) Identity() Identity { return s.id }
