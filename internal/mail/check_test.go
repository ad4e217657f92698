package mail

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
)

// tornEngine cannot get to the end of one account.
type tornEngine struct {
	store.Engine
	torn store.AccountID
}

func (e *tornEngine) Verify(ctx context.Context, id store.AccountID, report func(store.Damage)) error {
	if id == e.torn {
		return fmt.Errorf("keys: %w", store.ErrCorrupt)
	}
	return e.Engine.Verify(ctx, id, report)
}

// One damaged account must not keep the others from being checked.
func TestBugDamageStopsCheck(t *testing.T) {
	inner := openEngine(t, vfs.NewMem())
	defer inner.Close()
	s := New(Options{Engine: &tornEngine{inner, 1}})
	defer s.Close()
	for _, name := range []string{"alice", "bob"} {
		if err := s.CreateUser(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	var problems []Problem
	sum, err := s.Check(t.Context(), "", func(p Problem) { problems = append(problems, p) })
	if err != nil || len(problems) != 1 || problems[0].User != "alice" || sum.Mailboxes != 2 || sum.Problems != 1 {
		t.Errorf("problems %v, %+v, %v", problems, sum, err)
	}
}
